"""Heal a session: plan the calls for what is missing, fetch them, record what they prove.

The one place where coverage, providers and the lake meet; every decision is in `healing/`.
"""

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import SessionCoverage
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PlatformError
from stock_platform.healing.apply_response import apply_response
from stock_platform.healing.derive import carry_history
from stock_platform.healing.plan import Costs, HealPlan, PlannedCall, plan_calls
from stock_platform.healing.reconciliation import (
    Withdrawn,
    against_responses,
    removed,
    withdrawn,
)
from stock_platform.healing.scheduling import retryable, unverified
from stock_platform.lake import append_log, off_hours, read, write
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake.append_log import record_responses
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.daily_from_minutes import remake_daily_bars
from stock_platform.pipelines.universe import arrivals
from stock_platform.providers.fallback import first_success
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import MinuteBarSource, SessionSource, failed_response
from stock_platform.providers.transport.client import utc_now

Log = Callable[[str], None]
_NO_BARS = pl.DataFrame(schema=MINUTE_BARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealResult:
    """What one heal or settlement did, for the asset's page."""

    coverage: SessionCoverage
    published: Published | None = None
    calls: int = 0
    found: int = 0
    """Symbol-minutes that were observed for the first time."""
    rejected: int = 0
    left_out: int = 0
    """Symbols left for a later run by the bound on calls."""
    unexpected: int = 0
    """Bars of symbols nobody expected: kept for the whole market, left out of a watchlist."""
    off_hours: int = 0
    """Bars of minutes outside the lake's hours that came with the responses: left out."""
    seconds: float = 0.0
    responses: list[ProviderResponse] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Responses in which a provider refused."""
        return sum(response.outcome == "refused" for response in self.responses)

    @property
    def failed(self) -> int:
        """Responses that failed and are requested again."""
        return sum(response.outcome == "failed" for response in self.responses)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The responses to a plan, how many calls that took, and the symbols it left out."""

    responses: list[ProviderResponse]
    calls: int
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
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
        """Request the unobserved minutes in the slots `first` to `last`; safe to repeat.

        With `only_ready` (a sensor's run) only missing minutes of symbols that are not
        waiting for a retry; otherwise (a run by hand) everything that is not confirmed:

            healer.heal(grid, 0, 389, now=datetime.now(UTC), only_ready=False)
        """
        off_hours.sort_out(self.store, grid)
        coverage = self.context.coverage(grid)
        closed = grid.closed_slots(now, 0)
        wanted = coverage.missing(closed) if only_ready else coverage.unconfirmed(closed)
        if only_ready:
            policy = self.context.policy
            wanted &= retryable(coverage, now, backoff=policy.retry, settle=policy.settle)
        wanted[:, :first] = wanted[:, last + 1 :] = False
        return self._run(coverage, wanted, now)

    def settle(self, grid: MinuteGrid, *, now: datetime, since: datetime) -> HealResult:
        """Request the whole closed session from the source of record; safe to repeat.

        Only symbols that were not verified since `since` are requested; where the provider
        has a file of the session, one file covers all of them.
        """
        arrivals.record_held(
            self.store, self.context.market, grid.session, self.context.universe(grid.session)
        )
        off_hours.sort_out(self.store, grid)
        coverage = self.context.coverage(grid)
        session = np.ones((1, grid.width), dtype=bool)
        session[0, : grid.first] = session[0, grid.end :] = False
        wanted = session & unverified(coverage, since)[:, None]
        return self._run(coverage, wanted, now)

    def _run(self, coverage: SessionCoverage, wanted: np.ndarray, now: datetime) -> HealResult:
        if not wanted.any():
            return HealResult(coverage=coverage)
        started = time.monotonic()
        plan = self._plan(coverage, wanted)
        fetched = self._fetch(coverage.grid, plan, now)
        return self._record(coverage, fetched, started)

    def _plan(self, coverage: SessionCoverage, wanted: np.ndarray) -> HealPlan:
        """Plan the cheapest calls for the `wanted` minutes."""
        costs = Costs.of(
            requests_per_minute=self.providers.requests_per_minute,
            at_once=self.max_concurrent_requests,
            calls_max=self.context.healing.calls_max,
        )
        if not self.providers.minute:
            costs = Costs(range_s=float("inf"), calls_max=0)
        published = self._file_published(coverage.grid)
        plan = plan_calls(coverage, wanted, file_published=published, costs=costs)
        self.log(
            f"{coverage.session}: requesting {int(wanted.sum()):,} symbol-minutes of "
            f"{int(wanted.any(axis=1).sum()):,} symbols in {len(plan.calls):,} calls"
        )
        return plan

    def _file_published(self, grid: MinuteGrid) -> bool:
        for source in self.providers.session:
            try:
                if source.fingerprint(grid.session) is not None:
                    return True
            except PlatformError as error:
                self.log(f"{grid.session}: {source.name} cannot be checked for a file: {error}")
        return False

    def _fetch(self, grid: MinuteGrid, plan: HealPlan, now: datetime) -> Fetched:
        """Make the calls of a plan; where its file is there and cannot be had, those by symbol."""
        responses = self._request_all(grid, plan.calls, now)
        by_symbol = plan.without_file
        if not (self.providers.minute and by_symbol and any(map(_is_failed_file, responses))):
            return Fetched(responses, len(plan.calls), len(plan.left_out))
        responses += self._request_all(grid, by_symbol.calls, now)
        calls = len(plan.calls) + len(by_symbol.calls)
        return Fetched(responses, calls, len(by_symbol.left_out))

    def _request_all(
        self, grid: MinuteGrid, calls: tuple[PlannedCall, ...], now: datetime
    ) -> list[ProviderResponse]:
        with ThreadPoolExecutor(self.max_concurrent_requests) as pool:
            found = pool.map(lambda call: self._request(grid, call, now), calls)
            return [response for responses in found for response in responses]

    def _request(
        self, grid: MinuteGrid, call: PlannedCall, now: datetime
    ) -> list[ProviderResponse]:
        """Make one call, of the first provider that responds; return every response."""
        first, last = grid.minute(call.first), grid.minute(call.last)
        failed: list[ProviderResponse] = []
        record = self.providers.sources_of_record("minute")

        def with_authority(
            source: MinuteBarSource | SessionSource, response: ProviderResponse
        ) -> ProviderResponse:
            return response if source.name in record else response.from_second_source()

        def note_failure(source: MinuteBarSource | SessionSource, error: PlatformError) -> None:
            self.log(f"{grid.session} {call.symbol or 'all symbols'}: {error}")
            response = failed_response(
                source.name,
                grid.session,
                (call.symbol,) if call.symbol else None,
                first=first,
                last=last,
                asked_at=max(now, self.clock()),
                problem=error,
            )
            failed.append(with_authority(source, response))

        symbol = call.symbol
        if symbol is None:
            attempted = first_success(
                self.providers.session,
                lambda source: with_authority(
                    source, source.session_minute_bars(grid.session, grid)
                ),
                on_failure=note_failure,
            )
        else:
            attempted = first_success(
                self.providers.minute,
                lambda source: with_authority(
                    source, source.minute_bars(symbol, grid.session, first, last)
                ),
                on_failure=note_failure,
            )
        return failed + attempted.responses

    def _record(self, coverage: SessionCoverage, fetched: Fetched, started: float) -> HealResult:
        """Publish the bars, keep the responses as evidence, and update the coverage."""
        grid, store, responses = coverage.grid, self.store, fetched.responses
        # Before the bars that are compared get replaced.
        gone = self._reconcile(coverage, responses)
        bars = [response.bars for response in responses if response.bars.height]
        published, unexpected, outside = None, 0, pl.DataFrame()
        if bars:
            inside, outside = off_hours.split(pl.concat(bars), grid)
            arrived = arrivals.admit(
                store,
                self.context.market,
                grid.session,
                inside,
                expected=coverage.symbols.tolist(),
            )
            unexpected = arrived.unexpected
            published = write.publish_minute_bars(
                store, grid.session, arrived.kept, retracted=gone.claims
            )
            if gone.claims.height:
                remake_daily_bars(self.context, grid.session, now=self.clock())
            coverage = self._widened(coverage, arrived.symbols)
        rejected = sum(
            append_log.record_rejected(store, response.rejected) for response in responses
        )
        # Evidence before verdict: a crash in between derives the same coverage again.
        record_responses(store, grid.session, responses)
        before = coverage.totals()["observed"]
        updated = coverage_table.update(
            store, grid, lambda stored: self._updated(stored, coverage, responses)
        )
        return HealResult(
            coverage=updated,
            published=published,
            calls=fetched.calls,
            found=updated.totals()["observed"] - before,
            rejected=rejected,
            left_out=fetched.left_out,
            unexpected=unexpected,
            off_hours=outside.height,
            seconds=time.monotonic() - started,
            responses=responses,
        )

    def _widened(self, coverage: SessionCoverage, symbols: list[str]) -> SessionCoverage:
        """Return the coverage with rows of `symbols` too, derived from the evidence so far."""
        if not symbols:
            return coverage
        everybody = {*coverage.symbols.tolist(), *symbols}
        return carry_history(self.context.derive(coverage.grid, sorted(everybody)), coverage)

    def _reconcile(self, coverage: SessionCoverage, responses: list[ProviderResponse]) -> Withdrawn:
        """Record how the bars differ from what the providers responded; return what is gone."""
        session, settle = coverage.session, self.context.policy.settle
        answered = [response for response in responses if response.outcome == "ok"]
        held = read.minute_bars(self.store, session) if answered else _NO_BARS
        gone = withdrawn(held, answered, coverage.grid, settle=settle)
        if gone.doubtful:
            self.log(
                f"{session}: the record lacks {gone.doubtful:,} bars that are held, too many "
                "at once to be taken back: they are kept"
            )
        found = against_responses(held, answered, coverage.symbols.tolist(), settle=settle)
        found = pl.concat([found, removed(gone.bars, gone.claims)]).unique(
            ["symbol", "minute"], keep="first", maintain_order=True
        )
        if found.height:
            write.publish_table(
                self.store, "bar_differences", session, found, key=("symbol", "minute")
            )
        return gone

    def _updated(
        self,
        stored: SessionCoverage | None,
        known: SessionCoverage,
        responses: list[ProviderResponse],
    ) -> SessionCoverage:
        """Return the stored coverage with what was known and these responses applied."""
        grid = known.grid
        # The caller may try again with newer stored coverage: never change the argument.
        coverage = copy.deepcopy(
            stored if stored is not None and _same_symbols(stored, known) else known
        )
        for name in ("observed", "silent"):
            coverage.bits[name] |= known.bits[name]
        # Parallel responses are applied in the order in which `derive` replays them.
        for response in sorted(responses, key=lambda response: response.asked_at):
            apply_response(coverage, response, self.context.policy)
        coverage.rebuild_observed(read.minute_bars(self.store, grid.session, ["symbol", "minute"]))
        coverage.checked_at = self.clock()
        return coverage


def _is_failed_file(response: ProviderResponse) -> bool:
    return response.symbols is None and response.outcome != "ok"


def _same_symbols(one: SessionCoverage, other: SessionCoverage) -> bool:
    return np.array_equal(one.symbols, other.symbols)
