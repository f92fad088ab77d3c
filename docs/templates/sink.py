"""A sink to copy: every trade of the feed in a SQLite file.

Declare it in your package's `pyproject.toml`, install the package beside
`stock-platform`, and set `STREAM_SINKS=trades`:

    [project.entry-points."stock_platform.sinks"]
    trades = "my_package.trades:open_sink"
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from stock_platform.errors import TransientError
from stock_platform.stream.events import Trade, decode
from stock_platform.stream.journal.checkpoints import Checkpoint
from stock_platform.stream.journal.format import Kind, Record
from stock_platform.stream.sinks.installed import SinkContext

# A row is named by its place in the journal: the same record again is the same row.
TABLE = """CREATE TABLE IF NOT EXISTS trades (
    position INTEGER, number INTEGER, symbol TEXT, price REAL, size REAL, time INTEGER,
    PRIMARY KEY (position, number)
)"""
INSERT = "INSERT OR IGNORE INTO trades VALUES (?, ?, ?, ?, ?, ?)"


class TradesSink:
    """Collects trades and writes them once a second, in one transaction."""

    name = "trades"
    tick_s = 1.0

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute(TABLE)
        self._rows: list[tuple[object, ...]] = []
        self._added = self._delivered = 0
        self._malformed = self._written = 0

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.kind == Kind.DATA:
                self._collect(record)
            self._added = record.end

    def flush(self) -> None:
        try:
            with self._database:
                self._database.executemany(INSERT, self._rows)
        except sqlite3.OperationalError as error:
            # A full disk or a locked file: the same again half a second later.
            raise TransientError(f"trades are not written: {error}") from error
        self._written += len(self._rows)
        self._rows = []
        self._delivered = self._added

    def checkpoint(self, offset: int) -> Checkpoint | None:
        # Only what is committed: what waits in `_rows` is read from the journal again.
        return Checkpoint(self._delivered) if self._delivered else None

    def drain(self) -> bool:
        return not self._rows

    def status(self) -> dict[str, object]:
        return {"written": self._written, "malformed": self._malformed}

    def close(self) -> None:
        self._database.close()

    def _collect(self, record: Record) -> None:
        number = 0
        for frame in record.frames():
            decoded = decode(frame)
            self._malformed += len(decoded.malformed)
            for event in decoded.events:
                if isinstance(event, Trade):
                    row = (record.start, number, event.sym, event.p, event.s, event.t)
                    self._rows.append(row)
                    number += 1


def open_sink(context: SinkContext) -> TradesSink:
    """The entry point: called once, in the sink's own process."""
    return TradesSink(context.folder / "trades.sqlite")
