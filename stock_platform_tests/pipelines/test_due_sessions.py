"""A count stands for a set: what was complete for other symbols, hours or days is due."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_platform.domain.coverage import SessionCoverage
from stock_platform.lake import coverage as coverage_table
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.due_sessions import minutes_due, sessions_with_gaps
from stock_platform.settings import HealingSettings, MarketSettings
from stock_platform_tests.domain.examples import bars_of

DAY = date(2026, 11, 18)
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
BEFORE = {"symbols": "GOOG,MSFT,QUBT", "first_session": "2026-11-16"}


def lake(folder: Path, **changed: object) -> LakeContext:
    market = MarketSettings(**(BEFORE | changed))  # pyright: ignore[reportArgumentType]
    return LakeContext(FileStore.open(folder), market, HealingSettings())


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """A lake in which DAY is complete for the symbols, hours and calendar of `BEFORE`."""
    known = lake(tmp_path)
    keep_complete(known)
    return tmp_path


def keep_complete(known: LakeContext) -> None:
    grid = known.calendar.grid(DAY)
    whole = SessionCoverage.blank(grid, known.universe(DAY))
    whole.bits["observed"][:] = True
    coverage_table.update(known.store, grid, lambda _: whole, due=grid.end)


def test_a_session_made_for_what_is_expected_now_is_complete(complete: Path) -> None:
    assert sessions_with_gaps(lake(complete), [DAY]) == []


def early_close(folder: Path) -> Path:
    path = folder / "overrides.yaml"
    path.write_text("early_closes:\n  2026-11-18: '13:00'\n")
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"symbols": "GOOG,MSFT,TSLA"},
        {"symbols": "GOOG,MSFT"},
        {"symbols": "GOOG,MSFT,QUBT,TSLA"},
        {"extended_hours": True},
    ],
    ids=["a symbol swapped", "one less", "one more", "extended hours"],
)
def test_a_session_made_for_something_else_is_due(
    complete: Path, changed: dict[str, object]
) -> None:
    assert sessions_with_gaps(lake(complete, **changed), [DAY]) == [DAY]


def test_a_session_whose_early_close_was_learnt_later_is_due(complete: Path) -> None:
    changed = lake(complete, calendar_overrides=early_close(complete))

    assert sessions_with_gaps(changed, [DAY]) == [DAY]


def test_a_session_that_needs_nothing_for_fewer_symbols_is_looked_at_once(complete: Path) -> None:
    fewer = lake(complete, symbols="GOOG")
    keep_bars_of(fewer, complete)

    need = minutes_due(fewer, DAY, NOW)

    assert need is None
    assert sessions_with_gaps(fewer, [DAY]) == []


def keep_bars_of(known: LakeContext, folder: Path) -> None:
    """Give GOOG a bar in every minute, so that coverage derived anew is complete."""
    grid = known.calendar.grid(DAY)
    rows = bars_of([("GOOG", slot) for slot in range(grid.first, grid.end)])
    shift = grid.minute(0) - rows["minute"].min()  # pyright: ignore[reportOperatorIssue]
    write.publish_minute_bars(
        known.store, DAY, rows.with_columns(rows["minute"] + shift).cast(dict(rows.schema))
    )
