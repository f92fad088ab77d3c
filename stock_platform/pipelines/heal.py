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

from stock_platform.domain.coverage import Ledger, to_gaps
from stock_platform.domain.responses import Answer
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PlatformError
from stock_platform.healing.apply_response import judge
from stock_platform.healing.plan import Call, Costs, Plan, plan_calls
from stock_platform.healing.reconciliation import against_answers
from stock_platform.healing.scheduling import unverified, worth_asking
from stock_platform.lake import coverage, quarantine, read, write
from stock_platform.lake.answers import record_answers
from stock_platform.lake.object_store import Store
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import Knowledge
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import MinuteBarSource, SessionSource, failed_answer
from stock_platform.providers.transport.client import utc_now

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Healed:
    """What one heal or settlement did, for the asset's page."""

    ledger: Ledger
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
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Healer:
    """Heals one lake from its providers; `log` gets a line when something is worth one."""

    knowledge: Knowledge
    providers: Providers
    asks_at_once: int = 8
    log: Log = lambda line: None
    clock: Callable[[], datetime] = utc_now

    @property
    def store(self) -> Store:
        return self.knowledge.store

    def heal(
        self, grid: MinuteGrid, first: int, last: int, *, now: datetime, only_ready: bool
    ) -> Healed:
        """Ask for the unobserved minutes in the slots `first` to `last`.

        With `only_ready` (a sensor's run) only missing minutes of symbols that are
        not backing off; otherwise (a person's run) everything not yet proven.
        """
        ledger = self.knowledge.ledger(grid)
        due = grid.due(now, 0)
        wanted = ledger.missing(due) if only_ready else ledger.unproven(due)
        if only_ready:
            rules = self.knowledge.rules
            wanted &= worth_asking(ledger, now, backoff=rules.backoff, settle=rules.settle)
        window = np.zeros(grid.width, dtype=bool)
        window[first : last + 1] = True
        return self._ask_for(ledger, wanted & window, now)

    def settle(self, grid: MinuteGrid, *, now: datetime, since: datetime) -> Healed:
        """Ask the source of record for the whole closed session.

        Only what was not verified since `since` is asked for; where the provider has
        a file of the session, one file answers for everybody.
        """
        ledger = self.knowledge.ledger(grid)
        session = np.ones((1, grid.width), dtype=bool)
        session[0, : grid.first] = session[0, grid.end :] = False
        wanted = session & unverified(ledger, since)[:, None]
        return self._ask_for(ledger, wanted, now)

    def _ask_for(self, ledger: Ledger, wanted: np.ndarray, now: datetime) -> Healed:
        started = time.monotonic()
        grid = ledger.grid
        if not wanted.any():
            return Healed(ledger, None, 0, 0, 0, 0, 0, 0, 0.0)
        plan = self._plan(ledger, wanted, file_published=self._file_published(grid))
        self.log(
            f"{grid.session}: asking for {int(wanted.sum()):,} symbol-minutes of "
            f"{int(wanted.any(axis=1).sum()):,} symbols in {len(plan.calls):,} calls"
        )
        answers = self._ask(grid, plan, now)
        if self.providers.minute and any(_is_failed_file(answer) for answer in answers):
            # The file is there and can not be had: ask by symbol what it would have said.
            again = self._plan(ledger, wanted, file_published=False)
            answers += self._ask(grid, again, now)
            plan = replace(again, calls=plan.calls + again.calls)
        return self._record(ledger, answers, plan, started)

    def _plan(self, ledger: Ledger, wanted: np.ndarray, *, file_published: bool) -> Plan:
        costs = Costs.of(
            requests_per_minute=self.providers.requests_per_minute,
            at_once=self.asks_at_once,
            calls_max=self.knowledge.healing.calls_max,
        )
        if not self.providers.minute:
            costs = Costs(range_s=float("inf"), calls_max=0)
        failed = [str(name) for name in ledger.symbols[ledger.attempts > 0]]
        return plan_calls(
            to_gaps(ledger, wanted),
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
                self.log(f"{grid.session}: {source.name} can not say what it has: {problem}")
        return False

    def _ask(self, grid: MinuteGrid, plan: Plan, now: datetime) -> list[Answer]:
        with ThreadPoolExecutor(self.asks_at_once) as pool:
            return [
                answer
                for answers in pool.map(lambda call: self._ask_one(grid, call, now), plan.calls)
                for answer in answers
            ]

    def _ask_one(self, grid: MinuteGrid, call: Call, now: datetime) -> list[Answer]:
        """Ask one call's providers in turn, until one answers; give every answer."""
        first, last = grid.minute(call.first), grid.minute(call.last)
        symbols = (call.symbol,) if call.symbol else None
        answers: list[Answer] = []
        for source in self.providers.minute if call.symbol else self.providers.session:
            try:
                return [*answers, _question(source, grid, call)]
            except PlatformError as problem:
                self.log(f"{grid.session} {call.symbol or 'all symbols'}: {problem}")
                answers.append(
                    failed_answer(
                        source.name,
                        grid.session,
                        symbols,
                        first=first,
                        last=last,
                        asked_at=max(now, self.clock()),
                        problem=problem,
                    )
                )
        return answers

    def _record(self, ledger: Ledger, answers: list[Answer], plan: Plan, started: float) -> Healed:
        grid, store = ledger.grid, self.store
        # Before the bars that are compared get replaced.
        self._reconcile(ledger, answers)
        bars = [answer.bars for answer in answers if answer.bars.height]
        expected = pl.Series("symbol", ledger.symbols.tolist(), dtype=pl.String)
        published = None
        if bars:
            frame = pl.concat(bars).filter(pl.col("symbol").is_in(expected.implode()))
            published = write.publish_minute_bars(store, grid.session, frame)
        rejected = sum(quarantine.keep(store, answer.rejected) for answer in answers)
        # Evidence before verdict: a crash in between re-derives the same ledger.
        record_answers(store, grid.session, answers)
        before = ledger.totals()["observed"]
        updated = coverage.update(store, grid, lambda stored: self._judged(stored, ledger, answers))
        return Healed(
            updated,
            published,
            len(plan.calls),
            updated.totals()["observed"] - before,
            rejected,
            sum(answer.outcome == "refused" for answer in answers),
            sum(answer.outcome == "failed" for answer in answers),
            len(plan.left_out),
            time.monotonic() - started,
            answers,
        )

    def _reconcile(self, ledger: Ledger, answers: list[Answer]) -> None:
        """Record how the streamed bars differ from what the providers answered."""
        if not any(answer.outcome == "ok" for answer in answers):
            return
        session = ledger.session
        found = against_answers(
            read.minute_bars(self.store, session),
            answers,
            ledger.symbols.tolist(),
            settle=self.knowledge.rules.settle,
        )
        if found.height:
            write.publish_table(
                self.store, "bar_differences", session, found, key=("symbol", "minute")
            )

    def _judged(self, stored: Ledger | None, known: Ledger, answers: list[Answer]) -> Ledger:
        """Bring the stored ledger up to date with what was known and these answers."""
        grid = known.grid
        # The caller may try again against a newer ledger: never change what it was given.
        ledger = copy.deepcopy(
            stored if stored is not None and _same_symbols(stored, known) else known
        )
        for name in ("observed", "silent"):
            ledger.bits[name] |= known.bits[name]
        # Parallel answers are judged as `derive` replays them.
        for answer in sorted(answers, key=lambda answer: answer.asked_at):
            judge(ledger, answer, self.knowledge.rules)
        ledger.rebuild_observed(read.minute_bars(self.store, grid.session, ["symbol", "minute"]))
        ledger.checked_at = self.clock()
        return ledger


def _question(source: MinuteBarSource | SessionSource, grid: MinuteGrid, call: Call) -> Answer:
    if isinstance(source, SessionSource):
        return source.session_minute_bars(grid.session, grid)
    first, last = grid.minute(call.first), grid.minute(call.last)
    return source.minute_bars(str(call.symbol), grid.session, first, last)


def _is_failed_file(answer: Answer) -> bool:
    return answer.symbols is None and answer.outcome != "ok"


def _same_symbols(one: Ledger, other: Ledger) -> bool:
    return np.array_equal(one.symbols, other.symbols)
