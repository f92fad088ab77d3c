"""Verified sessions: coverage recomputed from evidence, and whatever is wrong named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.coverage import CONNECTIONS, SessionCoverage
from stock_platform.domain.reference import SYMBOLS, SYMBOLS_KEY
from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake import stream_parts, tables, write
from stock_platform.lake.object_store import Version
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.verify.verifier import Verifier, sessions_to_verify
from stock_platform_tests.domain.examples import bars_of
from stock_platform_tests.healing.responses import response
from stock_platform_tests.pipelines.settled import (
    HALF_DAY,
    SESSION,
    SUMMER,
    TRADED,
    WINTER,
    context_of,
    record,
    settle,
    tampered,
    verify,
)


def test_a_settled_session_is_sound_and_complete(any_lake: LakeContext) -> None:
    settle(any_lake)
    held = verify(any_lake)

    assert (held.ok, held.complete, held.stored_coverage) == (True, True, "equal")
    assert held.counts == {
        "expected": 780,
        "observed": 229,
        "empty": 551,
        "silent": 0,
        "missing": 0,
        "refused": 0,
        "healed": 229,
    }
    assert [(e.provider, e.revision, e.minutes) for e in held.empty_evidence] == [
        ("other", "final", 361),
        ("massive", "rest", 190),
    ]


@pytest.mark.parametrize(
    ("session", "extended", "expected"),
    [
        (SESSION, True, 960),
        (HALF_DAY, False, 210),
        (HALF_DAY, True, 780),
        (WINTER, False, 390),
        (SUMMER, False, 390),
    ],
)
def test_sessions_of_any_hours_are_certified(
    on_disk: LakeContext, session: date, expected: int, *, extended: bool
) -> None:
    context = context_of(on_disk.store, extended=extended)
    settle(context, session)
    held = verify(context, session)

    assert (held.ok, held.complete, held.grid["minutes"]) == (True, True, expected)


def test_missing_minutes_are_told_and_no_defect(on_disk: LakeContext) -> None:
    write.publish_minute_bars(
        on_disk.store, SESSION, bars_of([("AAPL", 0)], on_disk.calendar.grid(SESSION))
    )
    partly, never = verify(on_disk), verify(on_disk, HALF_DAY)

    assert (partly.ok, partly.complete, partly.counts and partly.counts["missing"]) == (
        True,
        False,
        779,
    )
    assert (never.ok, never.stored_coverage, never.counts and never.counts["missing"]) == (
        True,
        "absent",
        420,
    )


@pytest.mark.parametrize(
    ("bitmap", "symbol", "slots", "to", "detail"),
    [
        (
            "empty",
            "AAPL",
            (300, 309),
            False,
            "stored as missing, empty by the evidence: 10 minutes from 14:30 to 14:39",
        ),
        (
            "observed",
            "MSFT",
            (7, 7),
            False,
            "stored as empty, observed by the evidence: 1 minutes from 09:37 to 09:37",
        ),
        (
            "observed",
            "MSFT",
            (8, 9),
            True,
            "stored as observed, empty by the evidence: 2 minutes from 09:38 to 09:39",
        ),
    ],
)
def test_what_is_stored_and_not_in_evidence_is_named_by_symbol(
    any_lake: LakeContext,
    bitmap: str,
    symbol: str,
    slots: tuple[int, int],
    detail: str,
    *,
    to: bool,
) -> None:
    settle(any_lake)
    tampered(any_lake, bitmap, symbol, *slots, to=to)
    held = verify(any_lake)

    assert [(d.kind, d.where, d.detail) for d in held.defects] == [("coverage", symbol, detail)]
    assert (held.ok, held.stored_coverage) == (False, "different")
    assert held.counts
    assert held.counts["observed"] == 229


def test_an_empty_minute_nobody_answered_for_is_named(on_disk: LakeContext) -> None:
    grid = on_disk.calendar.grid(SESSION)
    record(
        on_disk,
        grid,
        [
            response(
                ("AAPL",),
                bars=[("AAPL", 0)],
                asked_at=grid.closes_at + timedelta(hours=1),
                grid=grid,
            )
        ],
    )
    tampered(on_disk, "empty", "MSFT", 0, 389, to=True)
    [defect] = verify(on_disk).defects

    assert defect.where == "MSFT"
    assert defect.detail.startswith("stored as empty, missing by the evidence: 390 minutes")


def test_lost_responses_are_noticed(on_disk: LakeContext) -> None:
    settle(on_disk)
    on_disk.store.delete([meta.path for meta in on_disk.store.list(f"answers/session={SESSION}")])
    held = verify(on_disk)

    assert {defect.where for defect in held.defects} == {"AAPL", "MSFT"}
    assert any("stored authority is final" in defect.detail for defect in held.defects)


def test_lost_bars_are_noticed(on_disk: LakeContext) -> None:
    settle(on_disk)
    on_disk.store.delete([tables.data("minute_bars", SESSION)])

    assert {d.where for d in verify(on_disk).defects} == {"AAPL", "MSFT"}


def test_totals_that_contradict_their_bitmaps_are_named(
    on_disk: LakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(on_disk)
    true_counts = SessionCoverage.counts
    with monkeypatch.context() as patch:
        patch.setattr(
            SessionCoverage,
            "counts",
            lambda self, closed=None: (
                true_counts(self, closed) | {"missing": true_counts(self, closed)["missing"] + 3}
            ),
        )
        tampered(on_disk, "healed", "AAPL", 0, 0, to=True)
    [defect] = verify(on_disk).defects

    assert defect.where == tables.data("coverage", SESSION)
    assert defect.detail == "the stored total of missing is 6, its bitmaps hold 0"


def test_coverage_of_another_watchlist_is_outdated_and_its_false_claims_are_named(
    on_disk: LakeContext,
) -> None:
    settle(on_disk)
    other = context_of(on_disk.store, symbols="AAPL,NVDA")
    sound = verify(other)
    tampered(on_disk, "observed", "AAPL", 250, 251, to=True)
    tampered(on_disk, "empty", "AAPL", 260, 261, to=False)

    assert (sound.ok, sound.stored_coverage, sound.complete) == (True, "outdated", False)
    assert verify(other).ok
    on_disk.store.delete([meta.path for meta in on_disk.store.list(f"answers/session={SESSION}")])
    assert {d.where for d in verify(other).defects} == {"AAPL"}


def test_live_parts_that_were_not_counted_yet_are_no_defect(on_disk: LakeContext) -> None:
    settle(on_disk, cells=TRADED[:-1])
    part = bars_of(TRADED[-1:], on_disk.calendar.grid(SESSION))
    stream_parts.write_live_minute(on_disk.store, SESSION, "1246", "sidecar", part)
    held = verify(on_disk)

    assert (held.ok, held.stored_coverage) == (True, "outdated")
    assert held.counts
    assert held.counts["observed"] == len(TRADED)


def test_presumed_minutes_come_from_the_connection_log(on_disk: LakeContext) -> None:
    grid = on_disk.calendar.grid(SESSION)
    rows = [("w", "c", "AM", grid.opens_at, grid.minute(100), None)]
    stream_parts.write_connections(
        on_disk.store, SESSION, "w", pl.DataFrame(rows, schema=CONNECTIONS, orient="row")
    )
    held = json.loads(verify(on_disk).to_json())

    assert held["presumed"] > 100
    assert "silent" not in held


def test_the_whole_market_is_what_its_snapshot_lists(on_disk: LakeContext) -> None:
    rows = [{"symbol": name, "provider": "m", "as_of": SESSION} for name in ("A", "B", "C")]
    listed = pl.DataFrame(rows, schema=SYMBOLS)
    write.publish_table(on_disk.store, "reference_symbols", SESSION, listed, key=SYMBOLS_KEY)
    context = context_of(on_disk.store, symbols="*")
    settle(context, cells=[("A", 0), ("B", 1)], symbols=("A", "B", "C"))
    held = verify(context)

    assert (held.ok, held.universe["symbols"], held.settings["symbols"]) == (True, 3, "all")


def test_a_market_without_a_snapshot_is_an_error_of_the_settings(on_disk: LakeContext) -> None:
    with pytest.raises(PermanentError, match="reference/symbols is empty"):
        verify(context_of(on_disk.store, symbols="*"))


def test_a_damaged_snapshot_is_named_and_hides_what_is_expected(on_disk: LakeContext) -> None:
    path = Path(on_disk.store.uri(tables.data("reference_symbols", SESSION)))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 torn")
    held = verify(context_of(on_disk.store, symbols="*"), HALF_DAY)

    assert {defect.kind for defect in held.defects} == {"unreadable", "universe"}
    assert (held.ok, held.counts, held.stored_coverage) == (False, None, "unchecked")


@pytest.mark.parametrize("table", ["minute_bars", "answers", "coverage"])
def test_a_damaged_object_is_named_and_nothing_is_certified_from_it(
    on_disk: LakeContext, table: str
) -> None:
    settle(on_disk)
    settle(on_disk, HALF_DAY)
    [path] = [meta.path for meta in on_disk.store.list(tables.folder(table, SESSION))]
    file = Path(on_disk.store.uri(path))
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 16
    file.write_bytes(data)
    held = verify(on_disk)

    assert [(d.kind, d.where) for d in held.defects] == [("damaged", path)]
    assert held.stored_coverage == ("unreadable" if table == "coverage" else "unchecked")
    assert (held.counts is None) == (table != "coverage")
    assert verify(on_disk, HALF_DAY).ok


def test_a_session_put_in_place_of_another_is_named(on_disk: LakeContext) -> None:
    settle(on_disk)
    settle(on_disk, HALF_DAY)
    folder = Path(on_disk.store.root)
    for name in ("minute_bars", "coverage", "answers"):
        shutil.rmtree(folder / name / f"session={HALF_DAY}")
        shutil.copytree(folder / name / f"session={SESSION}", folder / name / f"session={HALF_DAY}")
    held = verify(on_disk, HALF_DAY)

    assert [d.kind for d in held.defects] == ["misplaced"] * 3
    assert verify(on_disk).ok


def test_the_rest_of_the_lake_is_inspected_too(on_disk: LakeContext) -> None:
    settle(on_disk)
    settle(on_disk, HALF_DAY)
    folder = Path(on_disk.store.root)
    (folder / "notes.txt").write_text("mine")
    (folder / "My Notes").mkdir()
    (folder / "My Notes/list.parquet").write_text("mine")
    (folder / "alerts").mkdir()
    (folder / "alerts/open.json").write_text("{}")
    (folder / f"minute_bars/session={HALF_DAY}/old.parquet").write_bytes(b"")
    (folder / "minute_bars/session=2026-11-99").mkdir()
    (folder / "minute_bars/session=2026-11-99/data.parquet").write_bytes(b"")
    verifier = Verifier(context=on_disk)
    verifier.list_lake()
    assert verifier.verify(SESSION).ok

    assert [(d.kind, d.where) for d in verifier.verify_rest()] == [
        ("foreign", "My Notes/list.parquet"),
        ("foreign", "notes.txt"),
        ("foreign", f"minute_bars/session={HALF_DAY}/old.parquet"),
        ("foreign", "minute_bars/session=2026-11-99/data.parquet"),
    ]


@dataclass(frozen=True)
class Meddled(FileStore):
    """A store in which something happens after each time the coverage was read."""

    happens: list[Callable[[], None]]

    def get(self, path: str) -> tuple[bytes, Version] | None:
        found = FileStore.get(self, path)
        if path.startswith("coverage/") and self.happens:
            self.happens.pop(0)()
        return found


def test_a_session_that_changes_meanwhile_is_verified_again(on_disk: LakeContext) -> None:
    settle(on_disk)
    tampered(on_disk, "empty", "AAPL", 300, 309, to=False)

    def mend() -> None:
        tampered(on_disk, "empty", "AAPL", 300, 309, to=True)

    meddled = Meddled(Path(on_disk.store.root), [lambda: None, mend])

    assert not verify(on_disk).ok
    assert verify(context_of(meddled)).ok
    assert meddled.happens == []


def test_a_session_that_keeps_changing_is_an_error_that_passes(on_disk: LakeContext) -> None:
    settle(on_disk)
    tampered(on_disk, "empty", "AAPL", 300, 309, to=False)
    changes = [
        partial(tampered, on_disk, "healed", "AAPL", slot, slot, to=False) for slot in range(20)
    ]

    with pytest.raises(TransientError, match="2026-11-25 kept changing while it was verified"):
        verify(context_of(Meddled(Path(on_disk.store.root), changes)))


def test_sessions_are_those_that_are_over_newest_first(on_disk: LakeContext) -> None:
    evening = datetime(2026, 11, 27, 23, tzinfo=UTC)
    write.publish_minute_bars(
        on_disk.store, WINTER, bars_of([("A", 0)], on_disk.calendar.grid(WINTER))
    )
    (Path(on_disk.store.root) / "coverage/session=nonsense").mkdir(parents=True)

    assert sessions_to_verify(on_disk, None, None, evening) == [HALF_DAY, SESSION, WINTER]
    assert sessions_to_verify(on_disk, None, None, evening - timedelta(hours=6)) == [
        SESSION,
        WINTER,
    ]
    assert sessions_to_verify(on_disk, WINTER, SESSION, evening) == [SESSION, WINTER]


@pytest.mark.parametrize(
    ("first", "last", "hours", "message"),
    [
        (HALF_DAY, HALF_DAY, 15, "2026-11-27 closes at 18:00 UTC: a session is verified once"),
        (date(2026, 11, 26), date(2026, 11, 26), 23, "2026-11-26: not a session the lake should"),
        (date(2026, 12, 1), date(2026, 12, 1), 23, "2026-12-01: not a session the lake should"),
        (date(2020, 1, 1), date(2020, 2, 1), 23, "2020-01-01..2020-02-01: not a session the lake"),
    ],
)
def test_what_is_no_closed_session_is_refused_with_the_reason(
    on_disk: LakeContext, first: date, last: date, hours: int, message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        sessions_to_verify(on_disk, first, last, datetime(2026, 11, 27, hours, tzinfo=UTC))
