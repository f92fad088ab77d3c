"""Made-up rows of stock_data for tests and benches: seeded, any number, always the same."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from stock_platform.serving.postgres.rows import STOCK_DATA, Upserted
from stock_platform.serving.postgres.store import open_stock_data
from stock_platform.settings import PostgresSettings

FIRST_DAY = date(2019, 11, 22)


def made_rows(symbols: int, days: int, *, seed: int = 7) -> pl.DataFrame:
    """Give `symbols` x `days` rows of `STOCK_DATA`, sorted by (symbol, date)."""
    count = symbols * days
    numbers = np.random.default_rng(seed).integers(1_000_000, 900_000_000, size=(8, count))
    names = [name for name in STOCK_DATA if name not in {"date", "symbol"}]
    calendar = [FIRST_DAY + timedelta(days=n) for n in range(days)]
    return pl.DataFrame(
        {
            "date": pl.Series(calendar).gather(np.tile(np.arange(days), symbols)),
            "symbol": np.repeat([f"S{n:05d}" for n in range(symbols)], days),
            **{
                name: pl.Series(values).cast(pl.Decimal(38, 6)) / 1_000_000
                for name, values in zip(names, numbers, strict=True)
            },
        }
    ).cast(STOCK_DATA)


def upsert_stock_data(settings: PostgresSettings, frame: pl.DataFrame) -> Upserted:
    """Open the configured store, upsert `frame`, and close it."""
    with open_stock_data(settings) as store:
        return store.upsert(frame)
