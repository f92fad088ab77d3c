"""The only code that imports Dagster: one file per dataset."""
