"""The front door: a lake opened by its location, read as frames and by SQL, and healed.

Everything here calls what the assets and the command line call; nothing is computed a
second time. Importing it loads Polars and DuckDB, so `stock_platform` does on first use.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from os import PathLike, fspath
from typing import Literal, overload

import duckdb
import polars as pl

from stock_platform.api.corrections import Corrections, corrections_since
from stock_platform.api.follow import (
    TRADED_AS,
    FollowedSymbols,
    adjusted_daily_bars,
    session_bars,
    shown_minute_bars,
    splits_known,
)
from stock_platform.api.frames import (
    Day,
    HealOutcome,
    Instant,
    adjusted_schema,
    collect,
    of_symbols,
    to_day,
    to_instant,
    to_span,
    to_symbols,
)
from stock_platform.api.indicators import stored_indicators, with_outputs
from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.indicators.indicator import Timeframe
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.lake.sql.query import open_snapshot, query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.coverage import coverage_at, missing_ranges, session_coverage
from stock_platform.pipelines.heal import Healer
from stock_platform.pipelines.verify.certificate import Certificate
from stock_platform.pipelines.verify.provider_record import open_record
from stock_platform.pipelines.verify.verifier import verify_session
from stock_platform.providers.registry import open_providers
from stock_platform.providers.secrets import read_secret
from stock_platform.settings import Settings

_MINUTE = pl.Schema({**MINUTE_BARS, "session": pl.Date()})


class Lake:
    """One lake: frames of bars, coverage and indicators, SQL, and healing.

    Open it with `open_lake`. Reading never changes the lake; only `heal` writes. Frames are
    polars. Sessions are dates of XNYS, given as `date` or ISO text; instants are UTC. Every
    object is read by one open, so a frame never mixes two versions of a session.

        lake = sp.open_lake("./data")
        lake.daily_bars("2026-01-02", "2026-11-20", symbols=["AAPL"])
    """

    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def __repr__(self) -> str:
        return f"Lake({self.location!r})"

    @property
    def location(self) -> str:
        """The folder's absolute path, or `s3://bucket/prefix`.

        Without a slash at the end.

            print(lake.location)
        """
        return self._store.root

    @property
    def calendar(self) -> Calendar:
        """The sessions and minutes this lake is kept for.

        With extended hours or not, as STOCKS_EXTENDED_HOURS has it.

            lake.calendar.sessions(date(2026, 11, 1), date(2026, 11, 30))
        """
        return self._settings.market.calendar()

    @overload
    def minute_bars(
        self,
        first: Day,
        last: Day | None = None,
        symbols: Sequence[str] | None = None,
        *,
        adjusted: bool = False,
        follow: bool = False,
        as_of: Instant | None = None,
        lazy: Literal[False] = False,
    ) -> pl.DataFrame: ...
    @overload
    def minute_bars(
        self,
        first: Day,
        last: Day | None = None,
        symbols: Sequence[str] | None = None,
        *,
        adjusted: bool = False,
        follow: bool = False,
        as_of: Instant | None = None,
        lazy: Literal[True],
    ) -> pl.LazyFrame: ...
    def minute_bars(
        self,
        first: Day,
        last: Day | None = None,
        symbols: Sequence[str] | None = None,
        *,
        adjusted: bool = False,
        follow: bool = False,
        as_of: Instant | None = None,
        lazy: bool = False,
    ) -> pl.DataFrame | pl.LazyFrame:
        """Return one-minute bars of the sessions `first` to `last`, both included.

        Columns: symbol, minute (START of the bar, UTC), open, high, low, close, vwap (US
        dollars as traded), volume (shares), transactions, provider, revision, observed_at
        (UTC), session (date in New York). Prices and volume are Decimal(18, 6). Sorted by
        session, symbol and minute; a minute without a trade has no row.

        `adjusted` expresses prices and volume in the shares of today, as Float64, and adds
        split_factor: the rows of the SQL view `minute_bars_adjusted`. `lazy` returns a
        LazyFrame that opens one session at a time and reads only the columns it needs.
        `follow` returns the bars of the securities that have `symbols` (or FIGIs) now, under
        every symbol they had: column symbol is the one asked for, traded_as that of the day.
        `as_of` (an aware datetime or its ISO text) returns what the lake would have answered
        at that instant, from what had been observed by then, splits included.
        Without `last` it is the one session `first`; without `symbols` all of them.
        Raises `InvalidDataError` when `first` is after `last` or no date, and for an `as_of`
        without a time zone.

            bars = lake.minute_bars("2026-11-20", symbols=["AAPL"], adjusted=True)
            bars.select("minute", "close", "volume")
            lake.minute_bars("2026-11-20", as_of="2026-11-20T21:00:00+00:00")
        """
        sessions = self.calendar.sessions(*to_span(first, last))
        wanted, instant = to_symbols(symbols), to_instant(as_of)
        followed = FollowedSymbols(self._store, wanted) if follow else None
        wanted = followed.symbols if followed else wanted

        def load(columns: list[str] | None) -> Iterator[pl.DataFrame]:
            splits = splits_known(self._store, wanted, as_of=instant) if adjusted else None
            if followed and splits is not None:
                splits = followed.actions(splits, "executed_on")
            for session in sessions:
                names = None if adjusted else columns
                rows = of_symbols(session_bars(self._store, session, names, instant), wanted)
                yield shown_minute_bars(rows, followed, splits)

        schema = adjusted_schema(_MINUTE) if adjusted else _MINUTE
        return collect(pl.Schema({**schema, **(TRADED_AS if follow else {})}), load, lazy=lazy)

    @overload
    def daily_bars(
        self,
        first: Day,
        last: Day | None = None,
        symbols: Sequence[str] | None = None,
        *,
        adjusted: bool = False,
        follow: bool = False,
        as_of: Instant | None = None,
        lazy: Literal[False] = False,
    ) -> pl.DataFrame: ...
    @overload
    def daily_bars(
        self,
        first: Day,
        last: Day | None = None,
        symbols: Sequence[str] | None = None,
        *,
        adjusted: bool = False,
        follow: bool = False,
        as_of: Instant | None = None,
        lazy: Literal[True],
    ) -> pl.LazyFrame: ...
    def daily_bars(
        self,
        first: Day,
        last: Day | None = None,
        symbols: Sequence[str] | None = None,
        *,
        adjusted: bool = False,
        follow: bool = False,
        as_of: Instant | None = None,
        lazy: bool = False,
    ) -> pl.DataFrame | pl.LazyFrame:
        """Return daily bars of the sessions `first` to `last`, both included.

        Columns: symbol, session, open, high, low, close, vwap (US dollars as traded), volume
        (shares), transactions, provider, revision, observed_at (UTC). Prices and volume are
        Decimal(18, 6). Sorted by symbol and session.

        `adjusted` expresses prices and volume in the shares of today, as Float64, and adds
        split_factor, dividend_factor and adj_close (adjusted for dividends too): the rows of
        the SQL view `daily_bars_adjusted`. Other arguments and errors as in `minute_bars`.

            bars = lake.daily_bars("2026-01-02", "2026-11-20", symbols=["AAPL"], adjusted=True)
            bars.select("session", "adj_close")
            lake.daily_bars("2022-01-03", "2022-12-30", symbols=["META"], follow=True)
        """
        begin, end = to_span(first, last)
        wanted, instant = to_symbols(symbols), to_instant(as_of)
        followed = FollowedSymbols(self._store, wanted) if follow else None
        wanted = followed.symbols if followed else wanted
        within = pl.col("session").is_between(begin, end)

        def load(columns: list[str] | None) -> Iterator[pl.DataFrame]:
            if adjusted:
                yield adjusted_daily_bars(
                    self._store, (begin, end), wanted, followed, as_of=instant
                )
                return
            rows = read.daily_bars(self._store, begin.year, end.year, as_of=instant)
            rows = of_symbols(rows, wanted).filter(within)
            yield followed.bars(rows).sort("symbol", "session") if followed else rows

        schema = DAILY_BARS
        if adjusted:
            extra = {"dividend_factor": pl.Float64(), "adj_close": pl.Float64()}
            schema = {**adjusted_schema(DAILY_BARS), **extra}
        return collect(pl.Schema({**schema, **(TRADED_AS if follow else {})}), load, lazy=lazy)

    def corrections(self, since: str | None = None) -> Corrections:
        """Return what changed in minute and daily bars since a cursor: `rows` and a new `cursor`.

        Columns of `rows`: table, symbol, session, minute (null for a daily bar), reason
        (superseded, retracted or restored), corrected_at (UTC), and old_ and new_ open, high,
        low, close, vwap, volume, transactions (null where there was or is no bar). With the
        cursor of one call as `since` of the next, no row is skipped or repeated, whoever writes
        meanwhile. Raises `InvalidDataError` for another text.

            news = lake.corrections()
            later = lake.corrections(since=news.cursor)
        """
        return corrections_since(self._store, since)

    def coverage(self, session: Day) -> pl.DataFrame:
        """Return what is known of each expected symbol of one session, a row per symbol.

        Columns: symbol, session, and Int64 counts of minutes closed by now: expected,
        observed, empty, silent, missing (each expected minute is in one of these four),
        refused (of missing) and healed (of observed). Sorted by symbol. A session that was
        never ingested is missing as a whole. Raises `PermanentError` for a day that the lake
        should hold nothing of, `InvalidDataError` for text that is no date.

            lake.coverage("2026-11-20").filter(pl.col("missing") > 0)
        """
        return session_coverage(self._context(), to_day(session))

    def gaps(self, first: Day, last: Day | None = None) -> pl.DataFrame:
        """Return the runs of missing minutes of the sessions `first` to `last`.

        Columns: symbol, session, first and last (START of the first and last missing minute,
        UTC), minutes (their number). Sorted by session, symbol and time. The minutes of a
        session add up to missing in `coverage`. Raises `InvalidDataError` as `minute_bars`.

            lake.gaps("2026-11-16", "2026-11-20").group_by("session").agg(pl.sum("minutes"))
        """
        return missing_ranges(self._context(), *to_span(first, last))

    def indicators(
        self,
        timeframe: Timeframe,
        names: Sequence[str] | None = None,
        first: Day | None = None,
        last: Day | None = None,
        *,
        symbols: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the stored indicators, "daily" or "minute", one row per bar.

        Columns: symbol and session, or symbol, minute (UTC) and session; then a Float64
        column per output, null while there was too little history. `names` are indicators or
        output columns ("rsi_14", "macd_12_26_9"); without it all. Without `first` everything
        stored up to `last`. Sorted by symbol and time. Raises `InvalidDataError` for an
        unknown name; `compute_indicators` computes what is not stored.

            lake.indicators("daily", names=["rsi_14"], first="2026-11-02", symbols=["AAPL"])
        """
        if timeframe not in ("daily", "minute"):
            raise InvalidDataError(f"a timeframe is 'daily' or 'minute', found {timeframe!r}")
        begin = date.min if first is None else to_day(first)
        end = date.max if last is None else to_day(last)
        rows = stored_indicators(self._store, timeframe, begin, end)
        wanted = to_symbols(symbols)
        return with_outputs(of_symbols(rows, wanted), timeframe, names)

    def sql(self, text: str, *, timeout_s: float = 60.0) -> pl.DataFrame:
        """Return the rows of one SELECT over the tables and views of the lake.

        It reads one state of the lake. Raises `PermanentError` for SQL that is wrong, writes
        or takes longer than `timeout_s`, and `TransientError` when the lake kept changing.

            lake.sql("select symbol, count(*) as bars from minute_bars group by symbol")
        """
        return query(self._store, text, timeout_s=timeout_s)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection over one snapshot of the lake, read-only; close it.

        The views are those of `sql`. A query that needs an object replaced since raises
        `duckdb.Error`; connect again for the present state.

            with lake.connect() as connection:
                connection.sql("select * from daily_bars limit 3").pl()
        """
        return open_snapshot(self._store)

    def heal(self, session: Day) -> HealOutcome:
        """Request the missing minutes of one session from the providers and publish them.

        What the gap sensor runs: only minutes that are closed and whose retry is due. Safe to
        repeat. Raises `PermanentError` when no provider is configured, `InvalidDataError` for
        a day that is no session; a provider that fails is counted in `failed`.

            outcome = lake.heal("2026-11-20")
            print(outcome.found, outcome.missing)
        """
        grid, now = self.calendar.grid(to_day(session)), datetime.now(UTC)
        before = coverage_at(self._context(), grid.session, now)
        with open_providers(self._settings) as providers:
            at_once = self._settings.requests.max_concurrent_requests
            healer = Healer(
                context=self._context(), providers=providers, max_concurrent_requests=at_once
            )
            result = healer.heal(grid, grid.first, grid.end - 1, now=now, only_ready=True)
        return HealOutcome(
            session=grid.session,
            missing_before=before.coverage.totals(before.end)["missing"],
            found=result.found,
            missing=result.coverage.totals(before.end)["missing"],
            calls=result.calls,
            rejected=result.rejected,
            failed=result.failed,
        )

    def verify(self, session: Day, *, against_provider: bool = False) -> Certificate:
        """Return the certificate of one closed session; only reads.

        Every object is checked (checksum, columns, keys, values), coverage is recomputed from
        evidence and compared with the stored one, and what differs is in `defects`. A copy of
        the lake has the same certificate. With `against_provider` the bars are compared with
        the record, which takes a file or a request for each symbol. Raises `PermanentError`
        for a session the lake should hold nothing of or that is not over, `TransientError`
        when it kept changing meanwhile; damage is not raised.

            certificate = lake.verify("2026-11-20")
            print(certificate.ok, certificate.digest, *certificate.defects, sep="\\n")
        """
        if not against_provider:
            return verify_session(self._context(), to_day(session))
        with open_record(self._settings) as record:
            return verify_session(self._context(), to_day(session), record=record)

    def _context(self) -> LakeContext:
        return LakeContext.from_settings(self._settings, store=self._store)


def open_lake(location: str | PathLike[str] | None = None) -> Lake:
    """Open a lake for reading and healing.

    `location` is a folder or `s3://bucket/prefix`; without it STOCKS_LAKE decides. The other
    settings (symbols, calendar, S3 endpoint and keys, providers) come from the environment,
    read once. Raises `PermanentError` for a folder that does not exist, a location that is
    neither, and for settings that are wrong.

        lake = sp.open_lake("./data")
    """
    settings = Settings.from_env(read_secret)
    if location is not None:
        where = fspath(location)
        if not where:
            raise PermanentError("the location of the lake is empty")
        settings = settings.replaced(lake=settings.lake.model_copy(update={"lake": where}))
    return Lake(open_store(settings.lake, create=False), settings)
