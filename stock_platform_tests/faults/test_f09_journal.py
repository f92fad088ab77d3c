"""F09-F11: what the local disk can do to us. (Torn tails and flipped bits: stream/test_journal.)"""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stock_platform.stream import status
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.options import FeedOptions
from stock_platform.stream.feed.reader import Reader
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform_tests.faults.feed import numbered_feed
from stock_platform_tests.stream.servers import wait_until
from stock_platform_tests.stream.sidecar import (
    frames_of,
    journal_events,
    reader_options,
    running_reader,
)

FRAME = b'[{"ev":"T","sym":"A","t":1795276800000,"q":1}]' * 20


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond `size`, which the kernel answers like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_f09_a_full_disk_refuses_whole_records_and_is_counted(tmp_path: Path) -> None:
    journal = JournalWriter(
        tmp_path / "journal", segment_bytes=100_000, bytes_max=1_000_000, policy="pause"
    )

    with disk_of(5_000):
        taken = [journal.append_frames(0, 1, [FRAME], at) for at in range(20)]
    after = journal.append_frames(0, 1, [FRAME], 99)
    journal.close()

    assert 0 < taken.count(True) < 20
    assert journal.counts.write_errors == taken.count(False)
    assert after
    assert frames_of(journal.folder) == [FRAME] * (taken.count(True) + 1)
    # Nothing of a refused record stays: offsets are places in the files.
    assert sum(path.stat().st_size for path in journal.folder.glob("*.seg")) == journal.end


def test_f09_who_can_not_say_how_he_is_goes_on_working(tmp_path: Path) -> None:
    """A status file that the disk does not take must end no reader and no consumer."""
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / status.FOLDER).write_text("no folder: nothing can be written into it")
    with numbered_feed(1_000) as feed:
        feeds = (FeedOptions("delayed", feed.host, ("T", "Q")),)
        with running_reader(reader_options(folder, feeds=feeds)) as reader:
            wait_until(lambda: len(frames_of(folder)) > 100, 60)
            alive = reader.alive

    assert alive


def test_f10_at_its_bound_the_reader_hangs_up_and_comes_back_when_there_is_room(
    tmp_path: Path,
) -> None:
    with numbered_feed(20_000) as feed:
        options = reader_options(
            tmp_path / "journal",
            feeds=(FeedOptions("delayed", feed.host, ("T", "Q")),),
            segment_bytes=200_000,
            journal_bytes_max=1_000_000,
        )
        with running_reader(options):
            wait_until(lambda: "the journal is full" in _reasons(options.journal), 60)
            connections = feed.connections
            checkpoints.save(options.journal, "nobody", checkpoints.Checkpoint(1 << 40))
            wait_until(lambda: feed.connections > connections, 30)

    assert sum(path.stat().st_size for path in options.journal.glob("*.seg")) < 1_400_000


def test_f11_a_quiet_feed_has_its_gap_too_however_much_the_busy_one_wrote(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, segment_bytes=2_000, bytes_max=1 << 30, policy="pause")
    journal.append_frames(0, 1, [b'[{"ev":"AM","s":1795276800000}]'], 1_000_000)
    for second in range(2, 9):
        journal.append_frames(1, 1, [b'[{"ev":"T","t":1795276800000}]'] * 40, second * 1_000_000)
        heard = {"event": "alive", "streaming": True, "heard_at_us": second * 1_000_000}
        journal.append_event(0, 1, heard, second * 1_000_000)
    journal.close()

    reader = Reader(reader_options(tmp_path))

    quiet, busy = reader.outages.get(0), reader.outages.get(1)
    assert quiet
    assert busy
    assert quiet.last_received == 8
    assert busy.last_received == 8
    assert busy.last_event == 1795276800000
    reader.journal.close()


def _reasons(folder: Path) -> list[str]:
    return [e["reason"] for e in journal_events(folder) if e["event"] == "closed"]


def test_f11_a_reader_that_died_leaves_a_gap_from_its_last_record(tmp_path: Path) -> None:
    with numbered_feed(2_000) as feed:
        options = reader_options(
            tmp_path / "journal", feeds=(FeedOptions("delayed", feed.host, ("T", "Q")),)
        )
        with running_reader(options) as first:
            wait_until(lambda: len(frames_of(options.journal)) > 20, 60)
            assert first.process
            first.process.kill()
            first.process.join()
        with running_reader(options):
            wait_until(lambda: gaps.read(options.journal), 60)

    [gap, *_] = gaps.read(options.journal)
    assert gap.reason == "the reader was stopped"
    assert 0 < gap.last_event <= gap.first_event
