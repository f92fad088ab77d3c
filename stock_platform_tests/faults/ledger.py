"""What a run must leave behind: the journal, kept whole, against S3 and Redis."""

import contextlib
import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from stock_platform.stream.records import Kind
from stock_platform.stream.segments import SUFFIX
from stock_platform.stream.tail import Tail
from stock_platform_tests.stream.servers import Bucket

LOOK_S = 0.02


class KeptJournal:
    """Holds a second name of every segment, so that released ones can still be read."""

    def __init__(self, journal: Path, kept: Path) -> None:
        self._journal = journal
        self._kept = kept
        kept.mkdir()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def trades(self) -> list[dict[str, Any]]:
        """Give every trade whose frame reached the journal, in order."""
        tail = Tail(self._kept)
        return [
            event
            for batch in iter(lambda: tail.read(1 << 24), [])
            for record in batch
            if record.kind == Kind.DATA
            for frame in record.frames()
            for event in json.loads(frame)
            if event["ev"] == "T"
        ]

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            self._link()
        self._link()

    def _link(self) -> None:
        for path in self._journal.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(path, self._kept / path.name)


def missing_and_doubled(trades: list[dict[str, Any]], s3: Bucket) -> tuple[int, int]:
    """Compare the journal's trades with the archive's; both must be zero."""
    journal = Counter(trade["q"] for trade in trades)
    archive = Counter(json.loads(line)["q"] for line in s3.lines())
    return (journal - archive).total(), (archive - journal).total()


def stale_keys(trades: list[dict[str, Any]], client: Any) -> dict[str, tuple[int, Any]]:
    """Give the keys whose value is not the newest that reached the journal."""
    newest: dict[str, dict[str, Any]] = {}
    for trade in trades:
        old = newest.get(trade["sym"])
        if old is None or (trade["t"], trade["q"]) >= (old["t"], old["q"]):
            newest[trade["sym"]] = trade
    found = {symbol: client.get(f"stock:trade:{symbol}") for symbol in newest}
    prices = {
        symbol: json.loads(value)["price"] if value else None for symbol, value in found.items()
    }
    return {
        symbol: (trade["p"], prices[symbol])
        for symbol, trade in newest.items()
        if prices[symbol] != trade["p"]
    }
