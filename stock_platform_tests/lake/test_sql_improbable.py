"""Improbable bars are named and left out of the clean views; real moves are not."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.sessions import Calendar
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query

DAY = date(2026, 11, 19)
GRID = Calendar().grid(DAY)
PRICES = ("open", "high", "low", "close")


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore.open(tmp_path)


def walk(price: float, sigma: float, *, seed: int = 1, minutes: int = 390) -> pl.DataFrame:
    """A random walk of minute bars."""
    random = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(random.normal(0, sigma, minutes)))
    opened = np.concatenate([[price], close[:-1]])
    span = np.abs(random.normal(0, sigma / 2, minutes))
    return pl.DataFrame(
        {
            "minute": [GRID.minute(slot) for slot in range(minutes)],
            "open": opened,
            "high": np.maximum(opened, close) * (1 + span),
            "low": np.minimum(opened, close) * (1 - span),
            "close": close,
        }
    )


def publish(store: FileStore, rows: pl.DataFrame, symbol: str = "A", day: date = DAY) -> None:
    bars = rows.with_columns(
        *(pl.col(name).round(6).cast(pl.Decimal(18, 6)) for name in PRICES),
        symbol=pl.lit(symbol),
        vwap=pl.lit(None),
        volume=pl.lit("100"),
        transactions=pl.lit(None),
        provider=pl.lit("massive"),
        revision=pl.lit("final"),
        observed_at=pl.lit(GRID.closes_at),
    )
    write.publish_minute_bars(store, day, bars.select(list(MINUTE_BARS)).cast(MINUTE_BARS))


def changed(rows: pl.DataFrame, slot: int, **prices: float) -> pl.DataFrame:
    at = pl.col("minute") == GRID.minute(slot)
    return rows.with_columns(
        pl.when(at).then(pl.lit(price)).otherwise(name).alias(name)
        for name, price in prices.items()
    )


def flagged(store: FileStore) -> list[tuple[str, int, str]]:
    rows = query(store, "SELECT symbol, minute, extreme FROM improbable_minute_bars ORDER BY ALL")
    return [
        (symbol, round((minute - GRID.starts_at).total_seconds() / 60), extreme)
        for symbol, minute, extreme in rows.iter_rows()
    ]


@pytest.mark.parametrize(
    ("price", "slot", "prices", "extreme"),
    [
        (92.0, 100, {"high": 645.0}, "high"),
        (92.0, 100, {"low": 9.2}, "low"),
        (92.0, 100, {"open": 645.0, "high": 645.0, "low": 645.0, "close": 645.0}, "high"),
        (64.44, 283, {"open": 64.468, "high": 70.3983, "low": 64.4, "close": 64.4}, "high"),
        (249.75, 25, {"high": 257.6591}, "high"),
        (92.0, 0, {"high": 645.0}, "high"),
        (92.0, 389, {"low": 45.0}, "low"),
    ],
    ids=["high", "low", "whole bar", "published SQ", "published SPY print", "first", "last"],
)
def test_an_extreme_out_of_all_proportion_is_named(
    store: FileStore, price: float, slot: int, prices: dict[str, float], extreme: str
) -> None:
    publish(store, changed(walk(price, 0.0005), slot, **prices))

    assert flagged(store) == [("A", slot, extreme)]
    assert query(store, "SELECT count(*) AS n FROM minute_bars")["n"][0] == 390
    clean = query(store, "SELECT * FROM minute_bars_clean")
    assert clean.height == 389
    assert GRID.minute(slot) not in clean["minute"].to_list()


@pytest.mark.parametrize("slot", [1, 2, 200, 388, 389])
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 3.0])
def test_a_price_that_stays_where_it_went_is_not_named(
    store: FileStore, slot: int, factor: float
) -> None:
    """News, a halt, the first minutes of a listing."""
    rows = walk(50.0, 0.001)
    later = pl.col("minute") >= GRID.minute(slot)
    publish(
        store,
        rows.with_columns(pl.when(later).then(pl.col(p) * factor).otherwise(p) for p in PRICES),
    )

    assert flagged(store) == []


@pytest.mark.parametrize("sigma", [0.0002, 0.002, 0.01])
def test_a_random_walk_has_nothing_improbable(store: FileStore, sigma: float) -> None:
    for seed in range(40):
        publish(store, walk(10.0, sigma, seed=seed), symbol=f"S{seed}")

    assert flagged(store) == []


def test_a_thin_symbol_between_bid_and_ask_is_not_named(store: FileStore) -> None:
    """One price a bar, to and fro by three percent, every tenth minute."""
    rows = walk(1.0, 0.0).gather_every(10)
    price = pl.when(pl.int_range(pl.len()) % 3 == 0).then(1.03).otherwise(1.0)
    publish(store, rows.with_columns(price.alias(name) for name in PRICES))

    assert flagged(store) == []


def test_a_day_low_of_a_dark_print_is_named(store: FileStore) -> None:
    """Published: UBS, 2022-08-30, low 0.9242 at a price of 16."""
    good = {"open": 16.10, "high": 16.14, "low": 15.90, "close": 15.95}
    days = [good, good | {"low": 0.9242}, good, good | {"high": 70.0}]
    rows = pl.DataFrame(
        [
            row | {"symbol": "UBS", "session": DAY - timedelta(days=number), "volume": 5.0}
            for number, row in enumerate(days)
        ]
    ).with_columns(
        vwap=pl.lit(None),
        transactions=pl.lit(None),
        provider=pl.lit("massive"),
        revision=pl.lit("final"),
        observed_at=pl.lit(GRID.closes_at),
    )
    write.publish_daily_bars(store, rows.select(list(DAILY_BARS)).cast(DAILY_BARS))

    named = query(store, "SELECT session, extreme FROM improbable_daily_bars ORDER BY session")

    assert named.rows() == [(DAY - timedelta(days=3), "high"), (DAY - timedelta(days=1), "low")]
    assert query(store, "SELECT count(*) AS n FROM daily_bars_clean")["n"][0] == 2
