"""The types of columns that every table shares."""

import polars as pl

PRICE = pl.Decimal(18, 6)
TIMESTAMP_US = pl.Datetime("us", "UTC")
