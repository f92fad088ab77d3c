"""Recorded minutes hold nothing improbable: the check is quiet on what is real."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform_tests.lake.test_sql_improbable import PRICES, publish
from stock_platform_tests.shared_data import MINUTE_FILES


@pytest.mark.parametrize("file", MINUTE_FILES, ids=lambda file: file.stem)
def test_real_minutes_have_nothing_improbable(tmp_path: Path, file: Path) -> None:
    """Extended hours included: 22,425 bars, none is named."""
    store = FileStore.open(tmp_path)
    rows = pl.read_csv(file).with_columns(
        pl.from_epoch("ts_utc_ms", "ms").dt.replace_time_zone("UTC").cast(MINUTE_BARS["minute"])
        .alias("minute"),
        *(pl.col(price).cast(pl.Float64) for price in PRICES),
    )  # fmt: skip
    day = pl.col("minute").dt.convert_time_zone("America/New_York").dt.date().alias("day")
    for (session,), part in rows.with_columns(day).group_by("day"):
        assert isinstance(session, date)
        publish(store, part, day=session)

    assert query(store, "SELECT count(*) AS n FROM improbable_minute_bars")["n"][0] == 0
