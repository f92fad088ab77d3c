"""`stocks dev`: Dagster with its UI, daemon and policy on this machine."""
