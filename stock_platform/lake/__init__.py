"""The lake: plain Parquet, one object per table and partition, replaced atomically."""
