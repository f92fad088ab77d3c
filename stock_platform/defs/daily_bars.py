"""`lake/daily_bars`: OHLCV of each session, with vendors' holes filled from a second source."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from stock_platform.defs import page
from stock_platform.defs.expected import expected_symbols
from stock_platform.defs.healer import Log
from stock_platform.defs.knowledge import Knowledge
from stock_platform.defs.partitions import sessions
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.defs.session_bars import session_bars
from stock_platform.domain.bar import DAILY_BARS
from stock_platform.domain.problems import Problem, Refused
from stock_platform.domain.session import Calendar
from stock_platform.healing.daily import (
    DAILY_ANSWERS,
    DAILY_ANSWERS_KEY,
    absent,
    from_minutes,
    spans,
)
from stock_platform.lake import publish, quarantine, read
from stock_platform.providers.contract import DailyAnswer, DailySource

RETRY_AFTER_S = 3 * 3600.0


@dg.asset(
    key=["lake", "daily_bars"],
    partitions_def=sessions,
    deps=[session_bars],
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=page.OWNERS,
    metadata=page.columns(DAILY_BARS, ("symbol", "session")),
    pool="provider_rest",
)
def daily_bars(
    context: dg.AssetExecutionContext, lake: LakeResource, providers: ProvidersResource
) -> None:
    """One row is one symbol's session: prices of regular hours, volume of all hours.

    First made from the session's minute bars, then replaced by the provider's own
    daily row; what the first provider does not have is asked of the next one. One
    object holds a year. Materializing again asks only for what is still absent.
    """
    days = sorted(date.fromisoformat(key) for key in context.partition_keys)
    with providers.open() as opened:
        filled = DailyFill(lake.knowledge(), opened.daily, context.log.info).fill(days)
    context.add_asset_metadata(
        {
            "dagster/row_count": filled.rows,
            "rows expected": filled.expected,
            "rows without a provider": filled.absent,
            "provider calls": filled.calls,
            "rows rejected": filled.rejected,
        }
    )


@dataclass(slots=True)
class Filled:
    """What one fill did."""

    expected: int = 0
    rows: int = 0
    absent: int = 0
    calls: int = 0
    rejected: int = 0
    said: list[dict[str, object]] = field(default_factory=list)

    def say(self, provider: str, pairs: pl.DataFrame, outcome: str, detail: str) -> None:
        """Remember what a provider said of each (symbol, session)."""
        now = datetime.now(UTC)
        self.said.extend(
            {
                "symbol": symbol,
                "session": session,
                "provider": provider,
                "outcome": outcome,
                "detail": detail,
                "observed_at": now,
            }
            for symbol, session in pairs.select("symbol", "session").iter_rows()
        )


@dataclass(frozen=True, slots=True)
class DailyFill:
    """Fills daily bars of one lake from its sources, in their order."""

    knowledge: Knowledge
    sources: list[DailySource]
    log: Log = lambda line: None

    def fill(self, days: list[date]) -> Filled:
        """Bring the daily bars of `days` to what minutes and providers know; safe to repeat."""
        done = Filled()
        expected = self._expected(days)
        done.expected = expected.height
        for day in days:
            self._from_minutes(day)
        for index, source in enumerate(self.sources):
            missing = self.absent(expected)
            if missing.height:
                self._ask(source, missing, done, whole_sessions=index == 0)
        if done.said:
            rows = pl.DataFrame(done.said, schema=DAILY_ANSWERS)
            for (year,), part in rows.group_by(pl.col("session").dt.year()):
                publish.publish_table(
                    self.knowledge.store,
                    "daily_answers",
                    int(str(year)),
                    part,
                    key=DAILY_ANSWERS_KEY,
                )
        held = self._held(days).join(expected, on=["symbol", "session"], how="semi")
        done.rows = held.height
        done.absent = done.expected - done.rows
        return done

    def absent(self, expected: pl.DataFrame) -> pl.DataFrame:
        """Give the expected (symbol, session) that are worth asking for now."""
        days = expected["session"].unique().sort().to_list()
        answers = self._answers(days)
        return absent(
            expected,
            self._held(days),
            answers,
            [source.name for source in self.sources],
            now=datetime.now(UTC),
            retry_after_s=RETRY_AFTER_S,
        )

    def _expected(self, days: list[date]) -> pl.DataFrame:
        pairs = [
            (symbol, day)
            for day in days
            for symbol in expected_symbols(self.knowledge.store, day, self.knowledge.market)
        ]
        schema = {"symbol": pl.String, "session": pl.Date}
        return pl.DataFrame(pairs, schema=schema, orient="row")

    def _held(self, days: Iterable[date]) -> pl.DataFrame:
        days = sorted(days)
        rows = read.daily_bars(self.knowledge.store, days[0].year, days[-1].year)
        return rows.filter(pl.col("session").is_in(days))

    def _answers(self, days: list[date]) -> pl.DataFrame:
        years = sorted({day.year for day in days})
        found = [read.table(self.knowledge.store, "daily_answers", year) for year in years]
        rows = [frame.cast(DAILY_ANSWERS) for frame in found if frame.width]
        return pl.concat(rows) if rows else pl.DataFrame(schema=DAILY_ANSWERS)

    def _from_minutes(self, day: date) -> None:
        bars = read.minute_bars(self.knowledge.store, day)
        if bars.height:
            regular = Calendar(overrides=self.knowledge.calendar.overrides).grid(day)
            publish.publish_daily_bars(self.knowledge.store, from_minutes(bars, regular))

    def _ask(
        self, source: DailySource, missing: pl.DataFrame, done: Filled, *, whole_sessions: bool
    ) -> None:
        """Ask one source: by session while whole sessions miss much, by symbol otherwise."""
        by_symbol = spans(missing)
        days = missing["session"].unique().sort().to_list()
        if whole_sessions and len(days) <= len(by_symbol):
            for day in days:
                self._take(
                    source,
                    lambda day=day: source.daily_bars(day),
                    missing.filter(pl.col("session") == day),
                    done,
                )
            return
        for span in by_symbol[: self.knowledge.healing.calls_max]:
            pairs = missing.filter(pl.col("symbol") == span.symbol)
            self._take(
                source,
                lambda span=span: source.daily_bars_of(span.symbol, span.first, span.last),
                pairs,
                done,
            )

    def _take(
        self,
        source: DailySource,
        question: Callable[[], DailyAnswer],
        pairs: pl.DataFrame,
        done: Filled,
    ) -> None:
        done.calls += 1
        try:
            answer = question()
        except Problem as problem:
            outcome = "refused" if isinstance(problem, Refused) else "failed"
            self.log(f"{source.name}: {outcome}: {problem}")
            done.say(source.name, pairs, outcome, str(problem)[:300])
            return
        key = ["symbol", "session"]
        wanted = answer.bars.join(pairs, on=key, how="semi")
        if wanted.height:
            publish.publish_daily_bars(self.knowledge.store, wanted)
        ours = answer.rejected.filter(pl.col("symbol").is_in(pairs["symbol"].unique().implode()))
        done.rejected += quarantine.keep(self.knowledge.store, ours)
        broken = ours.select("symbol", pl.col("at").dt.date().alias("session"))
        left = pairs.join(answer.bars, on=key, how="anti")
        done.say(source.name, left.join(broken, on=key, how="semi"), "rejected", "see quarantine")
        done.say(source.name, left.join(broken, on=key, how="anti"), "absent", "")
