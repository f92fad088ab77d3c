"""The contract of a stream sink, as tests: subclass `SinkContract` and run pytest.

>>> class TestMySink(SinkContract):
...     def make_sink(self, journal, destination):
...         return MySink(journal, destination / "rows.sqlite")
...     def stored(self, destination):
...         return read_rows(destination / "rows.sqlite")
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.consumer import DurableSink, JournalConsumer, Sink
from stock_platform.stream.journal.format import Record
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.installed import NAME

START_US = 1_763_650_800_000_000
"""2025-11-20 15:00 UTC, while the exchange was open."""
TICK_S_MAX = 60.0
_MINUTE_MS = 60_000
_ODD = (
    b"not json",
    b"[]",
    b"{}",
    b"[1, null]",
    b'[{"sym":"A"}]',
    b'[{"ev":"NEW","sym":"A"}]',
    b'[{"ev":"T","sym":"A","t":"soon"}]',
    b'[{"ev":"T","sym":"\xff"}]',
    b'[{"ev":"status","status":"success","message":"subscribed to: T.A"}]',
)


class SinkContract:
    """What every sink must do; each test has a journal and a destination of its own."""

    def make_sink(self, journal: Path, destination: Path) -> Sink:
        """Return a new sink that delivers to `destination`.

        `destination` is an empty folder; where a sink writes to no folder, its name serves
        as a prefix or a key. A second call with the same folder is the sink after a restart.
        """
        raise NotImplementedError

    def stored(self, destination: Path) -> object:
        """Return what `destination` holds now, in a form that compares with `==`."""
        raise NotImplementedError

    def test_its_name_and_tick_can_be_used(self, tmp_path: Path) -> None:
        sink = self._sink(tmp_path, "a")

        assert NAME.fullmatch(sink.name)
        assert 0 < sink.tick_s <= TICK_S_MAX
        _close(sink)

    def test_its_status_is_json(self, tmp_path: Path) -> None:
        records = self._records(tmp_path, "a")
        sink = self._sink(tmp_path, "a")
        before = msgspec.json.encode(sink.status())

        sink.add(records)

        assert before
        assert msgspec.json.encode(sink.status())
        _close(sink)

    def test_a_flush_of_nothing_does_nothing(self, tmp_path: Path) -> None:
        self._records(tmp_path, "a")
        sink = self._sink(tmp_path, "a")
        before = self.stored(_folder(tmp_path, "a"))

        sink.flush()

        assert self.stored(_folder(tmp_path, "a")) == before
        _close(sink)

    def test_no_frame_stops_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "journal-a"
        journal = _open(folder)
        for number, frame in enumerate(_ODD):
            journal.append_frames(0, 1, [frame], START_US + number)
            journal.append_event(0, 1, {"event": "unknown", "number": number}, START_US + number)
        journal.close()

        _run(self._sink(tmp_path, "a"), folder)

        assert _checkpoint(folder, self._sink(tmp_path, "a")) == _end(folder)

    def test_a_checkpoint_never_passes_what_was_added(self, tmp_path: Path) -> None:
        records = self._records(tmp_path, "a")
        sink = self._sink(tmp_path, "a")
        offsets: list[int] = []

        for record in records:
            sink.add([record])
            point = sink.checkpoint(record.end)
            offsets.append((point.offset if point else 0) - record.end)

        assert max(offsets) <= 0
        _close(sink)

    def test_all_is_delivered_before_a_stop(self, tmp_path: Path) -> None:
        self._records(tmp_path, "a")
        folder = tmp_path / "journal-a"

        _run(self._sink(tmp_path, "a"), folder)

        assert self.stored(_folder(tmp_path, "a"))
        assert _checkpoint(folder, self._sink(tmp_path, "a")) == _end(folder)

    def test_a_crash_loses_nothing_and_doubles_nothing(self, tmp_path: Path) -> None:
        """The same records once without and once with a crash between flush and checkpoint."""
        self._records(tmp_path, "a")
        records = self._records(tmp_path, "b")
        half = len(records) // 2
        _run(self._sink(tmp_path, "a"), tmp_path / "journal-a")

        crashed = self._sink(tmp_path, "b")
        crashed.add(records[:half])
        crashed.flush()
        _save(tmp_path / "journal-b", crashed, records[half - 1].end)
        crashed.add(records[half:])
        crashed.flush()
        _close(crashed)
        _run(self._sink(tmp_path, "b"), tmp_path / "journal-b")

        whole = self.stored(_folder(tmp_path, "a"))
        assert self.stored(_folder(tmp_path, "b")) == whole

    def _sink(self, root: Path, name: str) -> Sink:
        return self.make_sink(root / f"journal-{name}", _folder(root, name))

    def _records(self, root: Path, name: str) -> list[Record]:
        """Write a journal of all four channels over three minutes; return its records."""
        folder = root / f"journal-{name}"
        journal = _open(folder)
        for minute in range(3):
            at = START_US + minute * 60_000_000
            for feed, frame in _frames(at // 1000, minute):
                journal.append_frames(feed, 1, [frame], at)
        journal.close()
        reader = JournalReader(folder)
        records = [record for batch in iter(reader.read, []) for record in batch]
        reader.close()
        return records


def _frames(ms: int, minute: int) -> Iterator[tuple[int, bytes]]:
    start = ms - _MINUTE_MS
    yield 0, b'[{"ev":"AM","sym":"A","s":%d,"e":%d,"o":1,"h":2,"l":1,"c":2,"v":3}]' % (start, ms)
    yield 0, b'[{"ev":"FMV","sym":"A","t":%d,"fmv":1.5}]' % ms
    for number in range(5):
        at, sequence = ms + number, minute * 10 + number
        yield (
            1,
            b'[{"ev":"T","sym":"A","t":%d,"q":%d,"p":1.25,"s":10},'
            b'{"ev":"Q","sym":"B","t":%d,"q":%d,"bp":1,"bs":2,"ap":3,"as":4}]'
            % (at, sequence, at, sequence),
        )


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(exist_ok=True)
    return folder


def _open(folder: Path) -> JournalWriter:
    return JournalWriter(folder, segment_bytes=1 << 20, bytes_max=1 << 30, policy="pause")


def _run(sink: Sink, journal: Path) -> None:
    consumer = JournalConsumer(journal, sink)
    consumer.stop()
    consumer.run(lambda: True)
    _close(sink)


def _save(journal: Path, sink: Sink, offset: int) -> None:
    point = sink.checkpoint(offset)
    if point is None:
        return
    if isinstance(sink, DurableSink):
        sink.sync()
    checkpoints.save(journal, sink.name, point)
    if isinstance(sink, DurableSink):
        sink.on_checkpoint_saved(point)


def _checkpoint(journal: Path, sink: Sink) -> int:
    _close(sink)
    found = checkpoints.load(journal, sink.name)
    return found.offset if found else 0


def _end(journal: Path) -> int:
    return JournalReader(journal).lag()


def _close(sink: Sink) -> None:
    close = getattr(sink, "close", None)
    if callable(close):
        close()
