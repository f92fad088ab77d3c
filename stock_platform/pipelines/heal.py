"""Ask for what is missing and write down what the answers prove.

The one place where gaps, providers and the lake meet; everything it decides is
in `healing/`. Nothing here knows Dagster, so `stocks init` heals with it too.
"""

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import polars as pl

from stock_platform.domain.coverage import SessionCoverage, to_missing_ranges
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PlatformError
from stock_platform.healing.apply_response import apply_response
from stock_platform.healing.plan import Costs, HealPlan, PlannedCall, plan_calls
from stock_platform.healing.reconciliation import against_responses
from stock_platform.healing.scheduling import retryable, unverified
from stock_platform.lake import append_log, read, write
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.append_log import record_responses
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import LakeContext
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import MinuteBarSource, SessionSource, failed_response
from stock_platform.providers.transport.client import utc_now

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HealResult:
    """What one heal or settlement did, for the asset's page."""

    coverage: SessionCoverage
    published: Published | None
    calls: int
    found: int
    """Symbol-minutes that were observed for the first time."""
    rejected: int
    refused: int
    failed: int
    left_out: int
    """Symbols left for a later run by the bound on calls."""
    seconds: float
    responses: list[ProviderResponse] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Healer:
    """Heals one lake from its providers; `log` gets a line when something is worth one."""

    context: LakeContext
    providers: Providers
    max_concurrent_requests: int = 8
    log: Log = lambda line: None
    clock: Callable[[], datetime] = utc_now

    @property
    def store(self) -> ObjectStore:
        return self.context.store

    def heal(
        self, grid: MinuteGrid, first: int, last: int, *, now: datetime, only_ready: bool
    ) -> HealResult:
        """Ask for the unobserved minutes in the slots `first` to `last`.

        With `only_ready` (a sensor's run) only missing minutes of symbols that are
        not backing off; otherwise (a person's run) everything not yet proven.
        """
        coverage = self.context.coverage(grid)
        due = grid.closed_slots(now, 0)
        wanted = coverage.missing(due) if only_ready else coverage.unconfirmed(due)
        if only_ready:
            policy = self.context.policy
            wanted &= retryable(coverage, now, backoff=policy.retry, settle=policy.settle)
        window = np.zeros(grid.width, dtype=bool)
        window[first : last + 1] = True
        return self._ask_for(coverage, wanted & window, now)

    def settle(self, grid: MinuteGrid, *, now: datetime, since: datetime) -> HealResult:
        """Ask the source of record for the whole closed session.

        Only what was not verified since `since` is asked for; where the provider has
        a file of the session, one file answers for everybody.
        """
        coverage = self.context.coverage(grid)
        session = np.ones((1, grid.width), dtype=bool)
        session[0, : grid.first] = session[0, grid.end :] = False
        wanted = session & unverified(coverage, since)[:, None]
        return self._ask_for(coverage, wanted, now)

    def _ask_for(self, coverage: SessionCoverage, wanted: np.ndarray, now: datetime) -> HealResult:
        started = time.monotonic()
        grid = coverage.grid
        if not wanted.any():
            return HealResult(coverage, None, 0, 0, 0, 0, 0, 0, 0.0)
        plan = self._plan(coverage, wanted, file_published=self._file_published(grid))
        self.log(
            f"{grid.session}: asking for {int(wanted.sum()):,} symbol-minutes of "
            f"{int(wanted.any(axis=1).sum()):,} symbols in {len(plan.calls):,} calls"
        )
        responses = self._ask(grid, plan, now)
        if self.providers.minute and any(_is_failed_file(response) for response in responses):
            # The file is there and cannot be had: ask by symbol what it would have said.
            again = self._plan(coverage, wanted, file_published=False)
            responses += self._ask(grid, again, now)
            plan = replace(again, calls=plan.calls + again.calls)
        return self._record(coverage, responses, plan, started)

    def _plan(
        self, coverage: SessionCoverage, wanted: np.ndarray, *, file_published: bool
    ) -> HealPlan:
        costs = Costs.of(
            requests_per_minute=self.providers.requests_per_minute,
            at_once=self.max_concurrent_requests,
            calls_max=self.context.healing.calls_max,
        )
        if not self.providers.minute:
            costs = Costs(range_s=float("inf"), calls_max=0)
        failed = [str(name) for name in coverage.symbols[coverage.attempts > 0]]
        return plan_calls(
            to_missing_ranges(coverage, wanted),
            file_published=file_published,
            costs=costs,
            asked_before=failed,
        )

    def _file_published(self, grid: MinuteGrid) -> bool:
        for source in self.providers.session:
            try:
                if source.fingerprint(grid.session) is not None:
                    return True
            except PlatformError as problem:
                self.log(f"{grid.session}: {source.name} cannot say what it has: {problem}")
        return False

    def _ask(self, grid: MinuteGrid, plan: HealPlan, now: datetime) -> list[ProviderResponse]:
        with ThreadPoolExecutor(self.max_concurrent_requests) as pool:
            return [
                response
                for responses in pool.map(lambda call: self._ask_one(grid, call, now), plan.calls)
                for response in responses
            ]

    def _ask_one(
        self, grid: MinuteGrid, call: PlannedCall, now: datetime
    ) -> list[ProviderResponse]:
        """Ask one call's providers in turn, until one answers; return every answer."""
        first, last = grid.minute(call.first), grid.minute(call.last)
        symbols = (call.symbol,) if call.symbol else None
        responses: list[ProviderResponse] = []
        for source in self.providers.minute if call.symbol else self.providers.session:
            try:
                return [*responses, _question(source, grid, call)]
            except PlatformError as problem:
                self.log(f"{grid.session} {call.symbol or 'all symbols'}: {problem}")
                responses.append(
                    failed_response(
                        source.name,
                        grid.session,
                        symbols,
                        first=first,
                        last=last,
                        asked_at=max(now, self.clock()),
                        problem=problem,
                    )
                )
        return responses

    def _record(
        self,
        coverage: SessionCoverage,
        responses: list[ProviderResponse],
        plan: HealPlan,
        started: float,
    ) -> HealResult:
        grid, store = coverage.grid, self.store
        # Before the bars that are compared get replaced.
        self._reconcile(coverage, responses)
        bars = [response.bars for response in responses if response.bars.height]
        expected = pl.Series("symbol", coverage.symbols.tolist(), dtype=pl.String)
        published = None
        if bars:
            frame = pl.concat(bars).filter(pl.col("symbol").is_in(expected.implode()))
            published = write.publish_minute_bars(store, grid.session, frame)
        rejected = sum(
            append_log.record_rejected(store, response.rejected) for response in responses
        )
        # Evidence before verdict: a crash in between re-derives the same ledger.
        record_responses(store, grid.session, responses)
        before = coverage.totals()["observed"]
        updated = coverage_table.update(
            store, grid, lambda stored: self._judged(stored, coverage, responses)
        )
        return HealResult(
            updated,
            published,
            len(plan.calls),
            updated.totals()["observed"] - before,
            rejected,
            sum(response.outcome == "refused" for response in responses),
            sum(response.outcome == "failed" for response in responses),
            len(plan.left_out),
            time.monotonic() - started,
            responses,
        )

    def _reconcile(self, coverage: SessionCoverage, responses: list[ProviderResponse]) -> None:
        """Record how the streamed bars differ from what the providers answered."""
        if not any(response.outcome == "ok" for response in responses):
            return
        session = coverage.session
        found = against_responses(
            read.minute_bars(self.store, session),
            responses,
            coverage.symbols.tolist(),
            settle=self.context.policy.settle,
        )
        if found.height:
            write.publish_table(
                self.store, "bar_differences", session, found, key=("symbol", "minute")
            )

    def _judged(
        self,
        stored: SessionCoverage | None,
        known: SessionCoverage,
        responses: list[ProviderResponse],
    ) -> SessionCoverage:
        """Bring the stored ledger up to date with what was known and these answers."""
        grid = known.grid
        # The caller may try again against a newer ledger: never change what it was given.
        coverage = copy.deepcopy(
            stored if stored is not None and _same_symbols(stored, known) else known
        )
        for name in ("observed", "silent"):
            coverage.bits[name] |= known.bits[name]
        # Parallel answers are judged as `derive` replays them.
        for response in sorted(responses, key=lambda response: response.asked_at):
            apply_response(coverage, response, self.context.policy)
        coverage.rebuild_observed(read.minute_bars(self.store, grid.session, ["symbol", "minute"]))
        coverage.checked_at = self.clock()
        return coverage


def _question(
    source: MinuteBarSource | SessionSource, grid: MinuteGrid, call: PlannedCall
) -> ProviderResponse:
    if isinstance(source, SessionSource):
        return source.session_minute_bars(grid.session, grid)
    first, last = grid.minute(call.first), grid.minute(call.last)
    return source.minute_bars(str(call.symbol), grid.session, first, last)


def _is_failed_file(response: ProviderResponse) -> bool:
    return response.symbols is None and response.outcome != "ok"


def _same_symbols(one: SessionCoverage, other: SessionCoverage) -> bool:
    return np.array_equal(one.symbols, other.symbols)
