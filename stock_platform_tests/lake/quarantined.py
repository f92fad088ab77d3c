"""What the lake keeps of rejected rows, read for a test to compare with."""

from datetime import date

import polars as pl

from stock_platform.domain.rejections import REJECTED
from stock_platform.lake.append_log import deduplicate, read_parts
from stock_platform.lake.object_store import ObjectStore


def read_quarantine(store: ObjectStore, on: date) -> pl.DataFrame:
    """Return the rows first rejected on a day (UTC), each once."""
    rows, _ = read_parts(store, "quarantine", on)
    return deduplicate(rows, same=[name for name in REJECTED if name != "observed_at"])
