"""The journal gives back what it acknowledged, and never what it did not."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_platform.errors import PermanentError
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.consumer import JournalConsumer
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.segments import segments
from stock_platform.stream.journal.writer import JournalWriter

FRAMES = st.lists(st.binary(max_size=300), min_size=1, max_size=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def journal_in(folder: Path, *, policy: str = "pause", bytes_max: int = 1_000_000) -> JournalWriter:
    return JournalWriter(folder, segment_bytes=500, bytes_max=bytes_max, policy=policy)


def frames_in(folder: Path, *, bytes_max: int = 64) -> list[bytes]:
    tail = JournalReader(folder)
    batches = iter(lambda: tail.read(bytes_max), [])
    found = [frame for batch in batches for record in batch for frame in record.frames()]
    tail.close()
    return found


def written(folder: Path, batches: list[list[bytes]]) -> None:
    journal = journal_in(folder)
    for at, frames in enumerate(batches):
        journal.append_frames(0, 1, frames, at)
    journal.close()


def new_folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name) / "journal"


@given(batches=st.lists(FRAMES, max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_frame_comes_back_in_order_over_rotations(batches: list[list[bytes]]) -> None:
    for folder in new_folder():
        written(folder, batches)

        assert frames_in(folder) == [frame for frames in batches for frame in frames]


@given(batches=st.lists(FRAMES, min_size=1, max_size=6), cut=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_a_torn_tail_costs_only_the_torn_record(batches: list[list[bytes]], cut: int) -> None:
    for folder in new_folder():
        written(folder, batches)
        last = [s for s in segments(folder) if s.size][-1]
        for empty in [s for s in segments(folder) if not s.size]:
            empty.path.unlink()
        with last.path.open("r+b") as file:
            file.truncate(max(0, last.size - cut))
        whole = frames_in(folder)

        journal = journal_in(folder)
        journal.append_frames(0, 1, [b"after"], 10**6)
        journal.close()

        assert frames_in(folder) == [*whole, b"after"]
        assert whole == [f for fs in batches for f in fs][: len(whole)]


@given(
    batches=st.lists(st.lists(st.binary(min_size=4, max_size=99)), min_size=3, max_size=9),
    place=st.floats(0, 0.999),
    bit=st.integers(0, 7),
)
@settings(max_examples=100, deadline=None)
def test_a_flipped_bit_costs_only_its_record(
    batches: list[list[bytes]], place: float, bit: int
) -> None:
    for folder in new_folder():
        written(folder, batches)
        files = [s for s in segments(folder) if s.size]
        victim = files[int(place * len(files))]
        data = bytearray(victim.path.read_bytes())
        at = int(place * len(data))
        data[at] ^= 1 << bit
        victim.path.write_bytes(data)

        read = records_in(folder)

        intact = list(enumerate(batches))
        assert [item for item in intact if item in read] == read
        assert len(read) == len(batches) - 1


def records_in(folder: Path) -> list[tuple[int, list[bytes]]]:
    # A journal opened after the damage adds the segment that lets a tail step over it.
    journal_in(folder).close()
    tail = JournalReader(folder)
    batches = iter(lambda: tail.read(64), [])
    return [(r.received_at_us, r.frames()) for batch in batches for r in batch]


def test_a_tail_waits_for_a_record_that_is_being_written(folder: Path) -> None:
    written(folder, [[b"one"]])
    [segment] = segments(folder)
    whole = segment.path.read_bytes()
    segment.path.write_bytes(whole + whole[:20])
    tail = JournalReader(folder)
    first = tail.read()

    nothing_yet = tail.read()
    segment.path.write_bytes(whole + whole)

    assert [r.frames() for r in first] == [[b"one"]]
    assert nothing_yet == []
    assert [r.frames() for r in tail.read()] == [[b"one"]]


def test_only_segments_every_consumer_has_passed_are_deleted(folder: Path) -> None:
    journal = journal_in(folder)
    for at in range(20):
        journal.append_frames(0, 1, [b"x" * 200], at)
    second = segments(folder)[1]

    journal.release(before=second.end)

    assert segments(folder)[0].base == second.end


def test_at_the_bound_pause_refuses_and_counts(folder: Path) -> None:
    journal = journal_in(folder, bytes_max=2000)

    taken = [journal.append_frames(0, 1, [b"x" * 200], at) for at in range(50)]

    assert sum(segment.size for segment in segments(folder)) <= 2000
    assert journal.counts.refused == taken.count(False) > 0
    assert len(frames_in(folder)) == taken.count(True)


def test_a_paused_journal_takes_again_after_release(folder: Path) -> None:
    journal = journal_in(folder, bytes_max=2000)
    while journal.append_frames(0, 1, [b"x" * 200], 0):
        pass

    journal.release(before=journal.end)

    assert journal.append_frames(0, 1, [b"x"], 0)


def test_at_the_bound_drop_oldest_gives_up_old_segments_and_counts_them(folder: Path) -> None:
    journal = journal_in(folder, policy="drop_oldest", bytes_max=2000)

    for at in range(50):
        journal.append_frames(0, 1, [b"%d" % at, b"x" * 200], at)

    assert sum(segment.size for segment in segments(folder)) <= 2000
    assert journal.counts.bytes_dropped > 0
    assert frames_in(folder)[-2] == b"49"


def test_a_segment_that_can_not_be_started_costs_no_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk there may be room in the open file and none for a new one."""
    journal = journal_in(folder)
    opened = os.open
    with monkeypatch.context() as full:
        full.setattr("os.open", lambda *_: _no_room())
        taken = [journal.append_frames(0, 1, [b"%d" % n * 300], n) for n in range(5)]
    journal.sync()
    assert os.open is opened

    taken += [journal.append_frames(0, 1, [b"%d" % n * 300], n) for n in range(5, 9)]
    journal.close()

    assert taken == [True] * 9
    assert frames_in(folder, bytes_max=4096) == [b"%d" % n * 300 for n in range(9)]
    assert len(segments(folder)) > 2


def _no_room() -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_second_writer_is_refused(folder: Path) -> None:
    journal = journal_in(folder)

    with pytest.raises(PermanentError, match="another reader"):
        journal_in(folder)

    journal.close()


def test_offsets_a_consumer_saw_are_never_used_again(folder: Path) -> None:
    """A loss of power may take bytes a consumer had already read and checkpointed."""
    written(folder, [[b"one"]])
    checkpoints.save(folder, "latest", checkpoints.Checkpoint(10_000))

    journal = journal_in(folder)
    journal.append_frames(0, 1, [b"two"], 1)

    tail = JournalReader(folder, 10_000)
    assert [record.frames() for record in tail.read()] == [[b"two"]]


def test_time_in_the_journal_never_runs_backwards(folder: Path) -> None:
    written(folder, [[b"one"], [b"two"]])
    journal = journal_in(folder)
    journal.append_event(0, 1, {"event": "alive"}, 0)

    tail = JournalReader(folder)
    records = [*tail.read(), *tail.read()]

    assert [record.received_at_us for record in records] == [0, 1, 1]
    assert records[-1].kind == Kind.EVENT


class Quiet:
    """A sink that has nothing to deliver."""

    name, tick_s = "quiet", 0.01

    def add(self, records: Sequence[Record]) -> None:
        pass

    def flush(self) -> None:
        pass

    def checkpoint(self, offset: int) -> None:
        return None

    def drain(self) -> bool:
        return True

    def status(self) -> dict[str, object]:
        return {}


def test_a_stop_during_the_look_at_the_parent_is_kept(tmp_path: Path) -> None:
    looks = 0
    consumer = JournalConsumer(tmp_path, Quiet())

    def keep_running() -> bool:
        nonlocal looks
        looks += 1
        # The signal's handler runs while the caller waits for this answer.
        consumer.stop()
        return looks < 3

    consumer.run(keep_running)

    assert looks == 1
