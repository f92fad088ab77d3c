"""Rows of a security under every symbol it had, as the rows of the symbol asked for."""

from datetime import date, datetime
from typing import Literal

import polars as pl

from stock_platform.api.frames import of_symbols
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.reference import DIVIDENDS, SPLITS
from stock_platform.errors import InvalidDataError
from stock_platform.healing.action_register import (
    adjusting_dividends,
    adjusting_splits,
    judged,
)
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.sql.adjust import adjust_daily_bars, adjust_minute_bars
from stock_platform.pipelines.universe.expected import of_securities

TRADED_AS = pl.Schema({"traded_as": pl.String()})
"""Added to followed rows: the symbol of the day; `symbol` is the one asked for."""

_LINKS = pl.Schema(
    {
        "named": pl.String(),
        "symbol": pl.String(),
        "from_on": pl.Date(),
        "to_on": pl.Date(),
    }
)


class FollowedSymbols:
    """The symbols that the securities of some symbols (or FIGIs) had, each with its days."""

    def __init__(self, store: ObjectStore, names: list[str] | None) -> None:
        if names is None:
            raise InvalidDataError("follow needs symbols: name the securities to follow")
        spans = read.table(store, "symbol_spans", None)
        links = [pl.DataFrame(schema=_LINKS)]
        for name in names:
            found = of_securities(spans, frozenset({name}))
            found = found if found.height else spans.filter(pl.col("security") == name)
            if not found.height:
                found = pl.DataFrame([{"symbol": name}], schema=spans.schema)
            links.append(found.with_columns(named=pl.lit(name)).select(list(_LINKS)))
        self._links = pl.concat(links)

    @property
    def symbols(self) -> list[str]:
        """Every symbol of them, sorted."""
        return self._links["symbol"].unique().sort().to_list()

    def bars(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the bars (with session) of each day's symbol, named as asked for."""
        found = self._joined(rows, "session")
        return found.with_columns(traded_as="symbol", symbol="named").drop("named")

    def actions(self, rows: pl.DataFrame, day: Literal["executed_on", "ex_on"]) -> pl.DataFrame:
        """Return splits or dividends, named as asked for, each once.

        A provider lists an old action under the symbol of its day, or under the newest one.
        """
        newest = self._links.sort("from_on", nulls_last=False).unique("named", keep="last")
        since = self._links.group_by("named").agg(
            pl.when(pl.col("from_on").is_null().any())
            .then(None)
            .otherwise(pl.col("from_on").min())
            .alias("from_on")
        )
        every = newest.drop("from_on").join(since, on="named").select(list(_LINKS))
        links = pl.concat([self._links, every])
        found = self._joined(rows, day, links).with_columns(symbol="named").drop("named")
        key = ["symbol", day, *(["kind"] if "kind" in rows.columns else [])]
        return found.unique(key, keep="first", maintain_order=True)

    def _joined(
        self, rows: pl.DataFrame, day: str, links: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        begun = pl.col("from_on").fill_null(date.min) <= pl.col(day)
        within = begun & (pl.col(day) < pl.col("to_on").fill_null(date.max))
        joined = rows.join(self._links if links is None else links, on="symbol")
        return joined.filter(within).drop("from_on", "to_on")


def session_bars(
    store: ObjectStore, session: date, columns: list[str] | None, as_of: datetime | None
) -> pl.DataFrame:
    """Return a session's minute bars, at least the `columns` of them, with column session."""
    wanted = list(MINUTE_BARS) if columns is None else ["symbol", *columns]
    names = [name for name in MINUTE_BARS if name in wanted]
    rows = read.minute_bars(store, session, names, as_of=as_of)
    return rows.with_columns(pl.lit(session, pl.Date).alias("session"))


def shown_minute_bars(
    rows: pl.DataFrame, followed: FollowedSymbols | None, splits: pl.DataFrame | None
) -> pl.DataFrame:
    """Return a session's minute bars as asked for: followed, adjusted by `splits`, or both."""
    if followed is None:
        return rows if splits is None else adjust_minute_bars(rows, splits)
    # A security has one symbol on a day, so the order of minutes stays.
    rows = followed.bars(rows).sort("symbol", maintain_order=True)
    if splits is None:
        return rows
    names = rows.select("symbol", "minute", "traded_as")
    adjusted = adjust_minute_bars(rows.drop("traded_as"), splits)
    return adjusted.join(names, on=["symbol", "minute"], how="left", maintain_order="left")


def adjusted_daily_bars(
    store: ObjectStore,
    span: tuple[date, date],
    symbols: list[str] | None,
    followed: FollowedSymbols | None,
    *,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """Return adjusted daily bars, those of a security under one symbol where it is followed."""
    # A dividend is compared with the close before it, which may be of another year.
    years = read.years_present(store, "daily_bars") or [span[0].year]
    bars = of_symbols(read.daily_bars(store, years[0], years[-1], as_of=as_of), symbols)
    splits = splits_known(store, symbols, as_of=as_of)
    dividends = dividends_known(store, symbols, as_of=as_of)
    within = pl.col("session").is_between(*span)
    if followed is None:
        return adjust_daily_bars(bars, splits, dividends).filter(within)
    bars = followed.bars(bars)
    splits = followed.actions(splits, "executed_on")
    dividends = followed.actions(dividends, "ex_on")
    rows = adjust_daily_bars(bars.drop("traded_as"), splits, dividends)
    names = bars.select("symbol", "session", "traded_as")
    return rows.join(names, on=["symbol", "session"], how="left").filter(within)


def splits_known(
    store: ObjectStore, symbols: list[str] | None, *, as_of: datetime | None = None
) -> pl.DataFrame:
    """Return the splits of some symbols that adjust, or adjusted `as_of` an instant."""
    if as_of is None:
        return _reference_rows(store, "splits", SPLITS, symbols)
    register = _register_known(store, symbols, as_of)
    if register is None:
        rows = _reference_rows(store, "splits", SPLITS, symbols)
        return rows.filter(pl.col("observed_at") <= as_of)
    return adjusting_splits(register)


def dividends_known(
    store: ObjectStore, symbols: list[str] | None, *, as_of: datetime | None = None
) -> pl.DataFrame:
    """Return the dividends of some symbols that adjust, or adjusted `as_of` an instant."""
    if as_of is None:
        return _reference_rows(store, "dividends", DIVIDENDS, symbols)
    register = _register_known(store, symbols, as_of)
    if register is None:
        rows = _reference_rows(store, "dividends", DIVIDENDS, symbols)
        return rows.filter(pl.col("observed_at") <= as_of)
    return adjusting_dividends(register)


def _register_known(
    store: ObjectStore, symbols: list[str] | None, as_of: datetime
) -> pl.DataFrame | None:
    """Return the corporate actions that providers listed at an instant, judged from its bars.

    None where the lake has no register of them, as before there was one.
    """
    register = read.table(store, "corporate_actions", None)
    if not register.height:
        return None
    listed = (pl.col("observed_at") <= as_of) & (pl.col("left_at") > as_of).fill_null(value=True)
    known = of_symbols(register.filter(listed), symbols).with_columns(
        pl.lit("unjudged").alias("verdict"),
        pl.lit("").alias("evidence"),
        pl.lit(None, register.schema["moved_to"]).alias("moved_to"),
        pl.lit(None, register.schema["left_at"]).alias("left_at"),
    )
    years = read.years_present(store, "daily_bars")
    if not years or not known.height:
        return known
    days = read.daily_bars(store, years[0], years[-1], as_of=as_of)
    return judged(known, days.filter(pl.col("symbol").is_in(known["symbol"].unique().implode())))


def _reference_rows(
    store: ObjectStore, table: str, schema: pl.Schema, symbols: list[str] | None
) -> pl.DataFrame:
    return of_symbols(read.table(store, table, None), symbols).select(list(schema))
