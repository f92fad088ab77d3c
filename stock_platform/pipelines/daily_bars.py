"""Fill daily bars from what is at hand, then from one provider after the other.

Vendors have holes of their own (all symbols of 2017-11-08 in a well-known file):
what the first provider does not have is requested from the next one, and which
providers had none is kept, so that "no provider has it" is not requested for ever.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

import polars as pl

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.claims import retractions
from stock_platform.domain.revision import FROM_MINUTES, Revision, as_fill
from stock_platform.errors import NotEntitledError, PlatformError
from stock_platform.healing.aggregate import (
    DAILY_RESPONSES,
    DAILY_RESPONSES_KEY,
    absent,
    spans,
)
from stock_platform.healing.reconciliation import WITHDRAWN_MAX, WITHDRAWN_SHARE_MAX
from stock_platform.lake import append_log, read, write
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.daily_from_minutes import make_daily_bars
from stock_platform.pipelines.heal import Log
from stock_platform.pipelines.reference import judge_actions
from stock_platform.pipelines.universe import arrivals
from stock_platform.providers.factory import Providers
from stock_platform.providers.sources import DailyResponse, DailySource, SessionSource
from stock_platform.providers.transport.client import utc_now

RETRY_AFTER_S = 3 * 3600.0
REFUSALS_MAX = 3
"""In a row: then the plan refuses every request, and the others are not made."""

_KEY = ["symbol", "session"]


@dataclass(slots=True, kw_only=True)
class IngestResult:
    """What one fill did."""

    asked_at: datetime
    expected: int = 0
    rows: int = 0
    absent: int = 0
    """Expected rows that no provider has given; some may be made from minutes."""
    calls: int = 0
    rejected: int = 0
    unexpected: int = 0
    """Bars of symbols nobody expected: kept for the whole market, left out of a watchlist."""
    outcomes: list[pl.DataFrame] = field(default_factory=list)

    def record_outcome(
        self, provider: str, pairs: pl.DataFrame, outcome: str, detail: str = ""
    ) -> None:
        """Keep one provider's outcome of each (symbol, session)."""
        rows = pairs.select(
            *_KEY,
            pl.lit(provider).alias("provider"),
            pl.lit(outcome).alias("outcome"),
            pl.lit(detail[:300]).alias("detail"),
            pl.lit(self.asked_at).alias("observed_at"),
        )
        self.outcomes.append(rows.cast(DAILY_RESPONSES))


@dataclass(frozen=True, slots=True)
class _Request:
    """One call, and the (symbol, session) it is made for."""

    pairs: pl.DataFrame
    make: Callable[[], DailyResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBarIngest:
    """Fills daily bars of one lake from its sources, in their order."""

    context: LakeContext
    sources: list[DailySource]
    log: Log = lambda line: None
    clock: Callable[[], datetime] = utc_now

    @property
    def record(self) -> frozenset[str]:
        """The names of the sources of record; the others only fill what those lack."""
        return Providers(daily=self.sources).sources_of_record("daily")

    def fill(self, days: list[date]) -> IngestResult:
        """Bring the daily bars of `days` to what minutes and providers know; safe to repeat."""
        done = IngestResult(asked_at=self.clock())
        expected = self._expected(days)
        done.expected = expected.height
        for day in days:
            make_daily_bars(self.context, day, now=done.asked_at)
        for source in self.sources:
            missing = self._absent(expected, done.asked_at)
            if missing.height:
                self._request_missing(source, missing, done)
        self._keep(done)
        judge_actions(self.context, days)
        held = self._held(days).join(expected, on=_KEY, how="semi")
        done.rows = held.height
        done.absent = expected.height - held.filter(pl.col("provider") != FROM_MINUTES).height
        return done

    def _expected(self, days: list[date]) -> pl.DataFrame:
        universe = self.context.universe_now()
        pairs = [(symbol, day) for day in days for symbol in universe.on(day)]
        schema = {"symbol": pl.String, "session": pl.Date}
        return pl.DataFrame(pairs, schema=schema, orient="row")

    def _absent(self, expected: pl.DataFrame, now: datetime) -> pl.DataFrame:
        days = expected["session"].unique().sort().to_list()
        return absent(
            expected,
            self._held(days),
            self._responses(days),
            [source.name for source in self.sources],
            record=self.record,
            now=now,
            retry_after_s=RETRY_AFTER_S,
        )

    def _held(self, days: Sequence[date]) -> pl.DataFrame:
        years = {day.year for day in days}
        first, last = min(years, default=1), max(years, default=0)
        rows = read.daily_bars(self.context.store, first, last)
        return rows.filter(pl.col("session").is_in(days))

    def _responses(self, days: Iterable[date]) -> pl.DataFrame:
        years = sorted({day.year for day in days})
        found = [read.table(self.context.store, "daily_answers", year) for year in years]
        return pl.concat([pl.DataFrame(schema=DAILY_RESPONSES), *found])

    def _request_missing(
        self, source: DailySource, missing: pl.DataFrame, done: IngestResult
    ) -> None:
        """Request by session where that is fewer calls; otherwise, or if refused, by symbol."""
        days = missing["session"].unique().sort().to_list()
        by_symbol = spans(missing)
        # A file holds a whole session: for one symbol it costs as much as for all.
        in_files = isinstance(source, SessionSource)
        if in_files or len(days) <= len(by_symbol):
            requests = [
                _Request(missing.filter(pl.col("session") == day), partial(source.daily_bars, day))
                for day in days
            ]
            outcomes_before = len(done.outcomes)
            if not self._request_all(source, requests, done) or in_files:
                return
            # Requested again by symbol: only that response counts.
            del done.outcomes[outcomes_before:]
        requests = [
            _Request(
                missing.filter(pl.col("symbol") == span.symbol),
                partial(source.daily_bars_of, span.symbol, span.first, span.last),
            )
            for span in by_symbol
        ]
        self._request_all(source, requests, done)

    def _request_all(
        self, source: DailySource, requests: Sequence[_Request], done: IngestResult
    ) -> bool:
        """Request until the plan seems to refuse everything; return whether it did."""
        requests = requests[: self.context.healing.calls_max]
        refusals_max = min(REFUSALS_MAX, len(requests))
        refusals = 0
        for number, request in enumerate(requests):
            try:
                response = request.make()
            except NotEntitledError as problem:
                refusals += 1
                done.record_outcome(source.name, request.pairs, "refused", str(problem))
                if refusals == refusals_max:
                    self.log(f"{source.name}: refused: {problem}")
                    for unmade in requests[number + 1 :]:
                        done.record_outcome(source.name, unmade.pairs, "refused", str(problem))
                    return True
            except PlatformError as problem:
                refusals = 0
                self.log(f"{source.name}: failed: {problem}")
                done.record_outcome(source.name, request.pairs, "failed", str(problem))
            else:
                refusals = 0
                self._store_response(source, response, request.pairs, done)
            finally:
                done.calls += 1
        return False

    def _store_response(
        self, source: DailySource, response: DailyResponse, pairs: pl.DataFrame, done: IngestResult
    ) -> None:
        store = self.context.store
        wanted = response.bars.join(pairs, on=_KEY, how="semi")
        if response.symbols is None:
            days = pairs["session"].unique().sort().to_list()
            wanted = pl.concat([wanted, self._admit_others(response.bars, days, done)])
        if source.name not in self.record:
            wanted = as_fill(wanted)
        gone = self._withdrawn(source, response)
        if wanted.height or gone.height:
            write.publish_daily_bars(store, wanted, retracted=gone)
        ours = response.rejected.filter(pl.col("symbol").is_in(pairs["symbol"].unique().implode()))
        # Also those of symbols nobody requested: an answer about everybody held memory garbage.
        done.rejected += append_log.record_rejected(store, response.rejected)
        rejected = ours.select("symbol", pl.col("at").dt.date().alias("session"))
        covered = pl.col("session").is_between(response.first, response.last)
        done.record_outcome(
            source.name, pairs.filter(~covered), "failed", "the session has not closed"
        )
        left = pairs.filter(covered).join(response.bars, on=_KEY, how="anti")
        done.record_outcome(
            source.name, left.join(rejected, on=_KEY, how="semi"), "rejected", "see quarantine"
        )
        nothing = left.join(rejected, on=_KEY, how="anti")
        if response.revision.rank >= Revision.FINAL.rank:
            done.record_outcome(source.name, nothing, "absent")
        else:
            # What is not there on the evening of the session may come with its final record.
            done.record_outcome(
                source.name, nothing, "failed", "requested before the record was final"
            )

    def _admit_others(
        self, bars: pl.DataFrame, days: list[date], done: IngestResult
    ) -> pl.DataFrame:
        """Count the bars of symbols not expected; return those that widen the universe."""
        universe, admitted = self.context.universe_now(), [bars.clear()]
        for day in days:
            of_day = bars.filter(pl.col("session") == day)
            arrived = arrivals.admit(
                self.context.store,
                self.context.market,
                day,
                of_day,
                expected=universe.on(day),
            )
            done.unexpected += arrived.unexpected
            admitted.append(of_day.filter(pl.col("symbol").is_in(arrived.symbols)))
        return pl.concat(admitted)

    def _withdrawn(self, source: DailySource, response: DailyResponse) -> pl.DataFrame:
        """Return the retractions of bars that a complete final response of record lacks.

        More than a few at once, and any for a response without a bar, are rather a hole of
        the response: they are kept, and the log has their number.
        """
        days = pl.date_range(response.first, response.last, eager=True).to_list()
        final = response.revision.rank >= Revision.FINAL.rank
        if source.name not in self.record or not final or not response.bars.height:
            return _retractions_of(response, self._held([]))
        held = self._held(days)
        if response.symbols is not None:
            held = held.filter(pl.col("symbol").is_in(response.symbols))
        fill = pl.col("revision").cast(pl.String) == Revision.FILL.value
        older = pl.col("observed_at") < response.asked_at
        held = held.filter(older & ~fill & (pl.col("provider") != FROM_MINUTES))
        rejected = response.rejected.select("symbol", pl.col("at").dt.date().alias("session"))
        gone = held.join(response.bars, on=_KEY, how="anti").join(rejected, on=_KEY, how="anti")
        if gone.height > max(WITHDRAWN_MAX, WITHDRAWN_SHARE_MAX * response.bars.height):
            self.log(f"{source.name}: lacks {gone.height:,} daily bars that are held; all are kept")
            gone = gone.clear()
        return _retractions_of(response, gone)

    def _keep(self, done: IngestResult) -> None:
        rows = pl.concat([pl.DataFrame(schema=DAILY_RESPONSES), *done.outcomes])
        for (year,), part in rows.group_by(pl.col("session").dt.year()):
            write.publish_table(
                self.context.store,
                "daily_answers",
                int(str(year)),
                part,
                key=DAILY_RESPONSES_KEY,
            )


def _retractions_of(response: DailyResponse, bars: pl.DataFrame) -> pl.DataFrame:
    """Return the claims of a response that there are no such daily bars."""
    return retractions(
        DAILY_BARS,
        bars,
        provider=response.provider,
        revision=response.revision.value,
        at=response.asked_at,
    )
