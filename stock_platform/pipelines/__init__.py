"""What one run does, without Dagster: called by `defs/`, the command line and the public API."""
