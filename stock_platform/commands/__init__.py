"""What the `stocks` command does, one file per command."""
