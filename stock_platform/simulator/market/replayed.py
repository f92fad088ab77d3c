"""Real bars from CSV files as a market: what the vendors of the simulation then tell."""

from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.errors import InvalidDataError
from stock_platform.simulator.market.cache import SessionCache, slices
from stock_platform.simulator.market.feed_messages import to_messages
from stock_platform.simulator.market.market import (
    DAY_COLUMNS,
    LISTINGS,
    TRUTH,
    Dividend,
    Split,
    daily_of,
    with_identity,
)
from stock_platform.simulator.scenario import ReplayScenario

_ROWS_MAX = 6_000_000


class ReplayedMarket:
    """The bars of recorded files, extended hours included; see `Market`.

    Nothing is repaired: holes stay holes, impossible rows are sent as they are.
    """

    def __init__(self, scenario: ReplayScenario) -> None:
        self._scenario = scenario
        self._calendar = Calendar(extended=True)
        self._minutes = _read_minutes(_files(scenario.minute))
        self._days = _read_days(_files(scenario.daily))
        self._sent = SessionCache(self._send, rows_max=_ROWS_MAX)
        self._daily = SessionCache(self._day, rows_max=_ROWS_MAX)

    @property
    def calendar(self) -> Calendar:
        return self._calendar

    @cached_property
    def _all_sessions(self) -> tuple[date, ...]:
        days = {*self._minutes, *self._days["session"].unique().to_list()}
        return tuple(sorted(days))

    @property
    def sessions(self) -> tuple[date, ...]:
        return self._all_sessions

    @cached_property
    def _slices(self) -> dict[date, dict[str, tuple[int, int]]]:
        return {session: slices(bars) for session, bars in self._minutes.items()}

    def minute_bars(self, session: date) -> pl.DataFrame:
        return self._minutes.get(session, pl.DataFrame(schema=TRUTH))

    def live_bars(self, session: date) -> pl.DataFrame:
        return self._sent(session)

    def daily_bars(self, session: date) -> pl.DataFrame:
        return self._daily(session)

    def bars_of(self, symbol: str, session: date) -> pl.DataFrame:
        at = self._slices.get(session, {}).get(symbol)
        bars = self.minute_bars(session)
        return bars.slice(*at) if at else bars.clear()

    def splits(self) -> tuple[Split, ...]:
        ratio = pl.col("split_ratio")
        rows = self._days.filter(ratio.is_not_null() & (ratio != 1) & (ratio > 0))
        found = rows.select("symbol", "session", "split_ratio").unique().sort("session", "symbol")
        return tuple(
            Split(symbol=symbol, executed_on=day, split_from=1.0, split_to=value)
            for symbol, day, value in found.iter_rows()
        )

    def dividends(self) -> tuple[Dividend, ...]:
        rows = self._days.filter(pl.col("dividend") > 0)
        found = rows.select("symbol", "session", "dividend").unique().sort("session", "symbol")
        return tuple(
            Dividend(symbol=symbol, ex_on=day, paid_on=day, amount=value)
            for symbol, day, value in found.iter_rows()
        )

    @cached_property
    def _listings(self) -> pl.DataFrame:
        names = {*self._days["symbol"].to_list()}
        for bars in self._minutes.values():
            names.update(bars["symbol"].unique())
        symbols = sorted(names)
        blank = dict.fromkeys(("listed_on", "delisted_on"))
        rows = [
            {"symbol": s, "name": s, "type": "CS", "exchange": "XNAS", **blank} for s in symbols
        ]
        first = pl.Schema((name, LISTINGS[name]) for name in list(LISTINGS)[:6])
        return with_identity(pl.DataFrame(rows, schema=first))

    def listings(self) -> pl.DataFrame:
        return self._listings

    def _send(self, session: date) -> pl.DataFrame:
        scenario = self._scenario
        return to_messages(
            self.minute_bars(session),
            rng=np.random.default_rng([scenario.seed, session.toordinal()]),
            late=scenario.late,
            rebuilt=scenario.rebuilt,
            unsent=scenario.unsent,
        )

    def _day(self, session: date) -> pl.DataFrame:
        recorded = self._days.filter(pl.col("session") == session).select(DAY_COLUMNS)
        if session not in self._minutes:
            return recorded
        derived = daily_of(self._minutes[session], session, self._calendar)
        return pl.concat([recorded, derived]).unique("symbol", keep="first").sort("symbol")


def _files(names: tuple[str, ...]) -> list[Path]:
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.exists():
            raise InvalidDataError(f"the script's replay names {name}, which does not exist")
        files += sorted(path.glob("*.csv")) if path.is_dir() else [path]
    return files


def _read_minutes(files: list[Path]) -> dict[date, pl.DataFrame]:
    """Read bars by session; of two rows of one key the first file's stays."""
    frames = [_read(file, {"ts_utc_ms": pl.Int64()}) for file in files]
    if not frames:
        return {}
    bars = pl.concat(frames).with_columns(
        minute=pl.from_epoch("ts_utc_ms", time_unit="ms").cast(pl.Datetime("us", "UTC")),
        vwap=pl.lit(None),
        transactions=pl.lit(None),
    )
    bars = bars.unique(["symbol", "minute"], keep="first", maintain_order=True)
    local = pl.col("minute").dt.convert_time_zone(str(NEW_YORK)).dt.date()
    parts = bars.sort("symbol", "minute").with_columns(on=local).partition_by("on", as_dict=True)
    return {key[0]: part.select(list(TRUTH)).cast(TRUTH) for key, part in parts.items()}


def _read_days(files: list[Path]) -> pl.DataFrame:
    extra = {"dividend": pl.Float64(), "split_ratio": pl.Float64()}
    frames = [_read(file, {"date": pl.Date(), **extra}) for file in files]
    schema = pl.Schema({name: TRUTH.get(name, pl.Date()) for name in DAY_COLUMNS} | extra)
    if not frames:
        return pl.DataFrame(schema=schema)
    days = pl.concat(frames).with_columns(
        session=pl.col("date"), vwap=pl.lit(None), transactions=pl.lit(None)
    )
    days = days.unique(["symbol", "session"], keep="first", maintain_order=True)
    return days.sort("session", "symbol").select(list(schema)).cast(schema)


def _read(file: Path, extra: dict[str, pl.DataType]) -> pl.DataFrame:
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64())
    wanted = {"symbol": pl.String(), **extra, **numbers}
    try:
        # A symbol may be spelled NA or NULL: nothing but an empty number is missing here.
        return pl.read_csv(file, schema_overrides=wanted, columns=list(wanted))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidDataError(f"{file.name} is not a file of bars: {error}") from error
