"""The reader process: two sockets into one journal, and nothing else.

No Redis, no S3, no parsing beyond handshake and status: it can never be the
slow consumer the vendor disconnects. Nothing that happens behind the journal
reaches it.
"""

import asyncio
import contextlib
import multiprocessing
import signal
import ssl
from pathlib import Path

import msgspec

from stock_platform.stream import runtime, status
from stock_platform.stream.feed import gaps
from stock_platform.stream.feed.connection import ReconnectingFeed
from stock_platform.stream.feed.gaps import OpenOutage
from stock_platform.stream.feed.options import ReaderOptions
from stock_platform.stream.journal import checkpoints
from stock_platform.stream.journal.format import Kind
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.segments import segments
from stock_platform.stream.journal.writer import JournalWriter

NAME = "reader"
REPORT_S = 1.0


class Reader:
    """Owns the journal and the feeds."""

    def __init__(self, options: ReaderOptions) -> None:
        self.options = options
        self.outages = _open_outages(options.journal)
        """By feed, the outage that began when an earlier reader of this journal ended."""
        self.journal = JournalWriter(
            options.journal,
            segment_bytes=options.segment_bytes,
            bytes_max=options.journal_bytes_max,
            policy=options.full_policy,
        )
        trust = ssl.create_default_context(cafile=options.trust) if options.trust else None
        self._room = asyncio.Event()
        self._room.set()
        self._feeds = [
            ReconnectingFeed(
                index,
                self.journal,
                options,
                outage=self.outages.get(index),
                ready=self._wait_for_room,
                trust=trust,
            )
            for index in range(len(options.feeds))
        ]

    @property
    def frames(self) -> int:
        """How many messages were received so far."""
        return sum(feed.counts.frames for feed in self._feeds)

    async def _wait_for_room(self) -> None:
        # The journal accepts data again once `_report`, which looks every second, sees room.
        if self.journal.full:
            self._room.clear()
        await self._room.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop` is set; then close the sockets and sync the journal."""
        tasks = [asyncio.create_task(feed.run()) for feed in self._feeds]
        tasks += [asyncio.create_task(self._sync()), asyncio.create_task(self._report())]
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.journal.close()
        self._save_status(stopped=True)
        for task in done - {stopping}:
            task.result()

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self.options.sync_s)
            await asyncio.to_thread(self.journal.sync)

    async def _report(self) -> None:
        while True:
            passed = checkpoints.released_offsets(self.journal.folder, self.options.consumers)
            before = min(passed.values(), default=self.journal.end)
            # Deleting a segment takes milliseconds in which nothing would be read.
            await asyncio.to_thread(self.journal.release, before)
            if not self.journal.full:
                self._room.set()
            self._save_status(stopped=False)
            await asyncio.sleep(REPORT_S)

    def _save_status(self, *, stopped: bool) -> None:
        counts = self.journal.counts
        status.save(
            self.journal.folder,
            NAME,
            {
                "stopped": stopped,
                "journal_end": self.journal.end,
                "journal_bytes": self.journal.held,
                "journal_full": self.journal.full,
                "journal_refused": counts.refused,
                "journal_segments_dropped": counts.segments_dropped,
                "journal_bytes_dropped": counts.bytes_dropped,
                "journal_write_errors": counts.write_errors,
                "torn_bytes": self.journal.torn_bytes,
                "feeds": {feed.name: feed.status() for feed in self._feeds},
            },
        )


class _Alive(msgspec.Struct):
    event: str
    streaming: bool = False
    alive_at_us: int = msgspec.field(default=0, name="heard_at_us")


def _open_outages(folder: Path) -> dict[int, OpenOutage]:
    """Return, by feed, the last sign of life and the last event's time (0: unknown).

    A quiet feed may have no frame in the newest segments, which a busy one fills in
    seconds; but each writes an `alive` event every second.
    """
    found = segments(folder)[-2:]
    if not found:
        return {}
    journal = JournalReader(folder, found[0].base)
    last: dict[int, tuple[float, int]] = {}
    for records in iter(journal.read, []):
        for record in records:
            before = last.get(record.feed, (0.0, 0))
            if record.kind == Kind.DATA:
                times = gaps.event_times_ms(record.frames()[-1])
                last[record.feed] = (record.received_at_us / 1e6, max(times, default=before[1]))
            elif alive_at := _alive_at(record.payload):
                last[record.feed] = (max(alive_at, before[0]), before[1])
    journal.close()
    return {
        feed: OpenOutage(at, event, "the reader was stopped") for feed, (at, event) in last.items()
    }


def _alive_at(payload: bytes) -> float:
    try:
        event = msgspec.json.decode(payload, type=_Alive)
    except msgspec.MsgspecError:
        return 0.0
    return event.alive_at_us / 1e6 if event.event == "alive" and event.streaming else 0.0


def run_reader(options: ReaderOptions) -> None:
    """Run the reader process until SIGTERM or the death of the supervisor."""
    runtime.configure_logs(debug=options.debug)
    reader = Reader(options)
    runtime.tune_gc_and_malloc()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        parent = multiprocessing.parent_process()
        if parent:
            # The sentinel becomes readable when the supervisor dies, however it dies.
            loop.add_reader(parent.sentinel, stop.set)
        await reader.run(stop)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())
