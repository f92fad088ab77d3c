"""What a run must leave behind: the journal, kept whole, against S3 and Redis.

Only the numbers of the trades are kept in memory: a long run has tens of
millions of them.
"""

import contextlib
import json
import os
import re
import threading
from pathlib import Path
from typing import Any, Self

import numpy as np

from stock_platform.stream.journal.format import Kind
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.segments import SUFFIX
from stock_platform_tests.faults.feed import SYMBOLS
from stock_platform_tests.stream.servers import Bucket

LOOK_S = 0.02
_NUMBER = re.compile(rb'"q":(\d+)')


class KeptJournal:
    """Holds a second name of every segment, so that released ones can still be read."""

    def __init__(self, journal: Path, kept: Path) -> None:
        self._journal = journal
        self._kept = kept
        kept.mkdir()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Whatever the test came to: a thread left behind would keep pytest from ending.
        self._stop.set()
        self._thread.join()

    def trades(self) -> np.ndarray:
        """Return the number of every trade whose frame reached the journal."""
        tail = JournalReader(self._kept)
        found = [
            _numbers(record.payload)
            for batch in iter(lambda: tail.read(1 << 24), [])
            for record in batch
            if record.kind == Kind.DATA
        ]
        tail.close()
        assert not tail.skipped_bytes, "the test itself missed a segment"
        return np.concatenate([np.empty(0, np.int64), *found])

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            self._link()
        self._link()

    def _link(self) -> None:
        for path in self._journal.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(path, self._kept / path.name)


def missing_and_doubled(trades: np.ndarray, s3: Bucket) -> tuple[int, int]:
    """Compare the journal's trades with the archive's; both must be zero."""
    names = [name for name in s3.names() if name.endswith(".ndjson")]
    archived = np.concatenate([np.empty(0, np.int64), *(_numbers(s3.read(n)) for n in names)])
    missing = np.setdiff1d(trades, archived).size
    return missing, archived.size - (np.unique(trades).size - missing)


def stale_keys(trades: np.ndarray, client: Any) -> dict[int, tuple[float, float | None]]:
    """Return the symbols whose value is not the newest that reached the journal."""
    stale = {}
    for symbol in range(SYMBOLS):
        numbers = trades[trades % SYMBOLS == symbol]
        value = client.get(f"stock:trade:N{symbol:02d}")
        price = json.loads(value)["price"] if value else None
        if numbers.size and price != numbers.max() + 0.5:
            stale[symbol] = (float(numbers.max()) + 0.5, price)
    return stale


def lost_before_journal(trades: np.ndarray, sent_at: list[int]) -> np.ndarray:
    """Return how many trades each kill of the reader cost: sent by then, and in no journal."""
    ordered = np.unique(trades)
    sent = np.array(sent_at, dtype=np.int64)
    found = np.searchsorted(ordered, sent)
    journaled = np.where(found > 0, ordered[np.maximum(found - 1, 0)], -1)
    # Two kills with nothing sent between them are the same loss.
    return (sent - 1 - journaled)[np.diff(journaled, prepend=-2) != 0]


def _numbers(text: bytes) -> np.ndarray:
    return np.array(_NUMBER.findall(text), dtype=np.int64)
