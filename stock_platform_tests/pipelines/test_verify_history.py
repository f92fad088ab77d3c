"""No false alarm: what a lake's own steps stored is what evidence shows, whatever happened."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import NotEntitledError, PlatformError, TransientError
from stock_platform.lake import stream_parts
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.stream_parts import compact
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.heal import Healer
from stock_platform.providers.registry import Providers
from stock_platform_tests.domain.examples import bars_of
from stock_platform_tests.healing.responses import response
from stock_platform_tests.pipelines.settled import SESSION, SYMBOLS_HELD, context_of, verify

SLOTS = st.sets(st.integers(0, 389), max_size=12)
ANSWERS = st.sampled_from(["ok", "ok", "failed", "refused", "rejected"])


@dataclass(frozen=True)
class Step:
    """One heal at a time after the open, and how each symbol is answered."""

    minutes: int
    answers: tuple[str, str]
    traded: tuple[frozenset[int], frozenset[int]]
    by_hand: bool
    file: bool


@dataclass
class Vendor:
    """Answers as a step has it."""

    grid: MinuteGrid
    step: Step
    now: datetime
    name: str = "massive"

    def minute_bars(
        self, symbol: str, session: date, first: datetime, last: datetime
    ) -> ProviderResponse:
        row = SYMBOLS_HELD.index(symbol)
        kind, slots = self.step.answers[row], (self.grid.slot(first), self.grid.slot(last))
        problems: dict[str, PlatformError] = {
            "failed": TransientError("HTTP 503"),
            "refused": NotEntitledError("HTTP 403"),
        }
        if kind in problems:
            raise problems[kind]
        over = (self.now - self.grid.starts_at) // timedelta(minutes=1)
        cells = [(symbol, n) for n in self.step.traded[row] if slots[0] <= n <= min(slots[1], over)]
        broken = cells[:1] if kind == "rejected" else []
        return response(
            (symbol,),
            slots=slots,
            bars=[cell for cell in cells if cell not in broken],
            broken=broken,
            asked_at=self.now,
            grid=self.grid,
        )

    def fingerprint(self, session: date) -> str | None:
        return "etag" if self.step.file and self.now > self.grid.closes_at else None

    def session_minute_bars(self, session: date, grid: MinuteGrid) -> ProviderResponse:
        if "failed" in self.step.answers:
            raise TransientError("HTTP 503")
        cells = [
            (s, n) for s, slots in zip(SYMBOLS_HELD, self.step.traded, strict=True) for n in slots
        ]
        return response(None, bars=cells, asked_at=self.now, revision=Revision.FINAL, grid=grid)


STEPS = st.lists(
    st.builds(
        Step,
        minutes=st.integers(1, 3000),
        answers=st.tuples(ANSWERS, ANSWERS),
        traded=st.tuples(SLOTS.map(frozenset), SLOTS.map(frozenset)),
        by_hand=st.booleans(),
        file=st.booleans(),
    ),
    min_size=1,
    max_size=5,
    # Of two responses at one instant nobody could order the failure and the success.
    unique_by=lambda step: step.minutes,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, streamed=SLOTS, connected=st.tuples(st.integers(0, 389), st.integers(0, 389)))
def test_a_lake_that_only_its_own_steps_wrote_is_sound(
    steps: list[Step], streamed: set[int], connected: tuple[int, int]
) -> None:
    with TemporaryDirectory() as folder:
        context = context_of(FileStore.open(Path(folder) / "lake"))
        grid = context.calendar.grid(SESSION)
        stream(context, grid, streamed, connected)
        for step in sorted(steps, key=lambda step: step.minutes):
            heal(context, grid, step)
        held = verify(context)

    assert (held.ok, held.stored_coverage) in {(True, "equal"), (True, "absent")}, held.defects


def stream(
    context: LakeContext, grid: MinuteGrid, streamed: set[int], connected: tuple[int, int]
) -> None:
    first, last = sorted(connected)
    rows = [("w", "c", "AM", grid.minute(first), grid.minute(last + 1), grid.minute(last + 1))]
    log = pl.DataFrame(rows, schema=CONNECTIONS, orient="row")
    stream_parts.write_connections(context.store, SESSION, "w", log)
    bars = bars_of([("AAPL", slot) for slot in sorted(streamed)], grid)
    if bars.height:
        live = bars.with_columns(revision=pl.lit("live")).cast(bars.schema)
        stream_parts.write_live_minute(context.store, SESSION, "0931", "w", live)
    compact(context.store, SESSION)


def heal(context: LakeContext, grid: MinuteGrid, step: Step) -> None:
    now = grid.opens_at + timedelta(minutes=step.minutes)
    vendor = Vendor(grid, step, now)
    providers = Providers(minute=[vendor], session=[vendor] if step.file else [])
    healer = Healer(context=context, providers=providers, clock=lambda: now)
    healer.heal(grid, grid.first, grid.end - 1, now=now, only_ready=not step.by_hand)
