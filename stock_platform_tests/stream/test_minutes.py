"""Streamed bars in the lake: exact, newest sending, one part per closed minute."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.responses import PROVIDER_RESPONSES
from stock_platform.domain.sessions import Calendar
from stock_platform.healing.apply_response import SettlementPolicy
from stock_platform.healing.derive import derive
from stock_platform.healing.retry import RetrySchedule
from stock_platform.healing.scheduling import heal_range_of
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.lake.read import minute_bars
from stock_platform.lake.stream_parts import live_parts, read_connections
from stock_platform.settings import LakeSettings, MarketSettings
from stock_platform.stream.events import Bar
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.lake_bars import BarsOptions, LakeBarsSink
from stock_platform.stream.sinks.minutes import MinuteWriter
from stock_platform_tests.lake.quarantined import read_quarantine

SESSION = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
LATER = OPEN + timedelta(minutes=5)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(LakeSettings(lake=str(tmp_path / "lake")))


@pytest.fixture
def writer(store: ObjectStore) -> MinuteWriter:
    return MinuteWriter(store, Calendar(), "test")


def bar(minute: int = 0, **changes: Any) -> Bar:
    start = int((OPEN + timedelta(minutes=minute)).timestamp() * 1000)
    usual = {"sym": "MSFT", "s": start, "e": start + 60_000, "o": 1.1, "h": 1.3, "l": 1.0}
    return Bar(**{**usual, "c": 1.2, "v": 10, "dv": "10.250001", "vw": 1.15, **changes})


def bars_options(folder: Path, lake: LakeSettings, *, covers_market: bool) -> BarsOptions:
    return BarsOptions(
        journal=folder,
        lake=lake,
        market=MarketSettings(),
        writer="w",
        feeds=("realtime", "delayed"),
        covers_market=covers_market,
    )


def test_a_bar_is_exact_and_says_where_it_comes_from(
    store: ObjectStore, writer: MinuteWriter
) -> None:
    writer.add(bar(o=1.1284), LATER)

    [part] = writer.close_before(LATER)

    [row] = minute_bars(store, SESSION).to_dicts()
    assert (row["open"], row["volume"]) == (Decimal("1.128400"), Decimal("10.250001"))
    assert (row["provider"], row["revision"]) == ("massive_stream", "live")
    assert (part.session, part.bars) == (SESSION, 1)


def test_whole_shares_are_taken_where_there_is_no_decimal_text(
    store: ObjectStore, writer: MinuteWriter
) -> None:
    writer.add(bar(dv=None), LATER)

    writer.close_before(LATER)

    assert minute_bars(store, SESSION)["volume"].to_list() == [Decimal("10.000000")]


def test_only_closed_minutes_are_written(store: ObjectStore, writer: MinuteWriter) -> None:
    writer.add(bar(0), LATER)
    writer.add(bar(1), LATER)

    written = writer.close_before(OPEN + timedelta(minutes=1, seconds=59))

    assert [part.minute for part in written] == [OPEN]
    assert writer.held == 1


def test_a_resend_before_the_part_replaces_and_after_it_adds_a_part(
    store: ObjectStore, writer: MinuteWriter
) -> None:
    writer.add(bar(c=1.11), LATER)
    writer.add(bar(c=1.12), LATER + timedelta(seconds=1))
    writer.close_before(LATER)
    writer.add(bar(c=1.13), LATER + timedelta(seconds=2))

    writer.close_before(LATER)

    assert len(live_parts(store, SESSION)) == 2
    assert minute_bars(store, SESSION)["close"].to_list() == [Decimal("1.130000")]


def test_writing_the_same_bars_again_changes_nothing(store: ObjectStore) -> None:
    for _ in range(2):
        again = MinuteWriter(store, Calendar(), "test")
        again.add(bar(), LATER)
        again.close_before(LATER)

    assert len(live_parts(store, SESSION)) == 1


def test_what_is_no_bar_is_quarantined_with_its_reason(
    store: ObjectStore, writer: MinuteWriter
) -> None:
    sunday = int(datetime(2026, 11, 22, 15, 0, tzinfo=UTC).timestamp() * 1000)
    writer.add(bar(h=0.5), LATER)
    writer.add(bar(s=-1), LATER)
    writer.add(bar(s=sunday), LATER)

    written = writer.close_before(LATER)

    reasons = read_quarantine(store, LATER.date())["reason"].to_list()
    assert written == []
    assert writer.rejected == 3
    assert set(reasons) == {
        "high is not the highest",
        "the minute is missing",
        "the exchange was closed that day",
    }


def test_the_bars_consumer_writes_minutes_and_the_connection_log(
    store: ObjectStore, tmp_path: Path, journal: JournalWriter, folder: Path
) -> None:
    us = int(LATER.timestamp() * 1e6)
    frame = b'[{"ev":"status"},{"ev":"AM","sym":"MSFT","s":%d,"o":1,"h":2,"l":1,"c":2,"v":3}]'
    journal.append_event(0, 7, {"event": "opened"}, us)
    journal.append_event(0, 7, {"event": "subscribed", "channel": "AM", "heard_at_us": us}, us)
    journal.append_frames(0, 7, [frame % int(OPEN.timestamp() * 1000)], us + 60_000_000)
    journal.append_event(0, 7, {"event": "closed", "heard_at_us": us + 61_000_000}, us + 70_000_000)
    lake = LakeSettings(lake=str(tmp_path / "lake"))
    options = bars_options(folder, lake, covers_market=True)
    bars = LakeBarsSink(options, store)

    bars.add(JournalReader(folder).read())
    bars.flush()

    [row] = read_connections(store, SESSION).to_dicts()
    assert (row["connection"], row["channel"]) == ("realtime-7", "AM")
    assert row["connected_at"] == LATER
    assert row["alive_until"] == LATER + timedelta(seconds=61)
    assert row["disconnected_at"] == LATER + timedelta(seconds=70)
    assert minute_bars(store, SESSION).height == 1


def test_a_connection_whose_reader_was_killed_ends_with_the_next_one(
    store: ObjectStore, tmp_path: Path, journal: JournalWriter, folder: Path
) -> None:
    us = int(LATER.timestamp() * 1e6)
    said = {"event": "subscribed", "channel": "AM"}
    journal.append_event(0, 7, said, us)
    journal.append_event(1, 7, {**said, "channel": "T"}, us)
    journal.append_event(0, 7, {"event": "alive", "heard_at_us": us + 5_000_000}, us + 6_000_000)
    journal.append_event(0, 8, {"event": "opened"}, us + 20_000_000)
    journal.append_event(0, 8, said, us + 21_000_000)
    lake = LakeSettings(lake=str(tmp_path / "lake"))
    options = bars_options(folder, lake, covers_market=True)
    bars = LakeBarsSink(options, store)

    bars.add(JournalReader(folder).read())
    bars.flush()

    log = read_connections(store, SESSION).sort("connection").to_dicts()
    ended = {row["connection"]: (row["alive_until"], row["disconnected_at"]) for row in log}
    assert ended["realtime-7"] == (LATER + timedelta(seconds=5), LATER + timedelta(seconds=20))
    assert ended["realtime-8"][1] is None
    assert ended["delayed-7"][1] is None


def test_a_partly_subscribed_market_gives_no_evidence_of_silence(
    store: ObjectStore, tmp_path: Path, journal: JournalWriter, folder: Path
) -> None:
    us = int(LATER.timestamp() * 1e6)
    journal.append_event(0, 7, {"event": "subscribed", "channel": "AM", "heard_at_us": us}, us)
    lake = LakeSettings(lake=str(tmp_path / "lake"))
    options = bars_options(folder, lake, covers_market=False)
    bars = LakeBarsSink(options, store)

    bars.add(JournalReader(folder).read())
    bars.flush()

    assert read_connections(store, SESSION)["channel"].to_list() == ["AM.partly"]


def test_what_is_held_in_memory_is_read_again_after_a_crash(
    store: ObjectStore, tmp_path: Path, journal: JournalWriter, folder: Path
) -> None:
    soon = int(datetime.now(UTC).timestamp() * 1000) // 60_000 * 60_000 + 60_000
    frame = b'[{"ev":"AM","sym":"MSFT","s":%d,"o":1,"h":2,"l":1,"c":2,"v":3}]' % soon
    journal.append_frames(0, 7, [frame], 1)
    lake = LakeSettings(lake=str(tmp_path / "lake"))
    options = bars_options(folder, lake, covers_market=True)
    bars, tail = LakeBarsSink(options, store), JournalReader(folder)

    bars.add(tail.read())
    checkpoint = bars.checkpoint(tail.offset)

    assert checkpoint
    assert checkpoint.offset == 0


def test_a_resent_bar_that_waits_is_read_again_after_a_crash_and_written_at_a_stop(
    store: ObjectStore, tmp_path: Path, journal: JournalWriter, folder: Path
) -> None:
    lake = LakeSettings(lake=str(tmp_path / "lake"))
    options = bars_options(folder, lake, covers_market=True)
    bars, tail = LakeBarsSink(options, store), JournalReader(folder)
    frame = b'[{"ev":"AM","sym":"MSFT","s":%d,"o":1,"h":3,"l":1,"c":%d,"v":3}]'
    minute, closed = int(OPEN.timestamp() * 1000), OPEN + timedelta(seconds=70)
    journal.append_frames(0, 7, [frame % (minute, 1)], 1)
    bars.add(tail.read())
    bars._close(closed)
    before = tail.offset
    journal.append_frames(0, 7, [frame % (minute, 2)], 2)
    bars.add(tail.read())
    bars._close(closed)

    waiting = bars.checkpoint(tail.offset)
    finished = bars.drain()
    stopped = bars.checkpoint(tail.offset)

    assert waiting
    assert waiting.offset == before
    assert finished
    assert stopped
    assert stopped.offset == tail.offset
    assert minute_bars(store, SESSION)["close"].to_list() == [Decimal(2)]


def test_an_outage_is_missing_at_once_and_nothing_else_is(
    store: ObjectStore, tmp_path: Path, journal: JournalWriter, folder: Path
) -> None:
    """Two minutes after the reconnect, hours before the close; one symbol never trades."""

    def us(clock: str) -> int:
        return int(datetime.fromisoformat(f"2026-11-20T{clock}+00:00").timestamp() * 1e6)

    journal.append_event(0, 7, {"event": "subscribed", "channel": "AM"}, us("14:00:00"))
    frame = b'[{"ev":"AM","sym":"MSFT","s":%d,"o":1,"h":2,"l":1,"c":2,"v":3}]'
    for minute in range(20):
        start = OPEN + timedelta(minutes=minute)
        connection = 7 if minute < 9 else 8
        if minute == 9:
            gone, again = us("14:39:15"), us("14:44:05")
            journal.append_event(0, 7, {"event": "closed", "heard_at_us": gone}, gone)
            journal.append_event(0, 8, {"event": "subscribed", "channel": "AM"}, again)
        if minute not in range(9, 14):
            at = int((start + timedelta(seconds=65)).timestamp() * 1e6)
            text = frame % int(start.timestamp() * 1000)
            journal.append_frames(0, connection, [text], at)
    lake = LakeSettings(lake=str(tmp_path / "lake"))
    options = bars_options(folder, lake, covers_market=True)
    bars = LakeBarsSink(options, store)
    bars.add(JournalReader(folder).read())
    bars.flush()

    now = OPEN + timedelta(minutes=20, seconds=5)
    coverage = derive(
        Calendar().grid(SESSION),
        ["MSFT", "QUIET"],
        bars=minute_bars(store, SESSION, ["symbol", "minute"]),
        connections=read_connections(store, SESSION),
        responses=pl.DataFrame(schema=PROVIDER_RESPONSES),
        policy=SettlementPolicy(timedelta(minutes=20), RetrySchedule.from_minutes((1,))),
    )
    need = heal_range_of(coverage, now, grace_s=60, backoff=RetrySchedule.from_minutes((1,)))

    # Minutes 9 to 14 were not heard as a whole; of 14 MSFT's bar came after the reconnect.
    assert need
    assert (need.first, need.last, need.symbols) == (9, 14, 2)
    assert need.minutes == 5 + 6
