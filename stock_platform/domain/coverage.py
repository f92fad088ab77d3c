"""What is known about every expected symbol-minute of one session.

Three bitmaps per symbol - observed, empty, silent - and what follows from
them: `missing = expected & ~observed & ~empty & ~silent`. Bits are big-endian
within a byte (slot 0 is the highest bit of byte 0), so DuckDB reads them as
`bit_count(observed_bits::BIT)`. Coverage is derived, never asserted: it
can be rebuilt from the bars, the feed's connection log and the responses kept.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np
import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import InvalidDataError

BITMAPS = ("observed", "empty", "silent", "refused", "asked", "healed")
"""Stored per symbol. `asked`: a source of record responded for the minute once it was over,
though perhaps before it had settled. `healed`: the part of observed that a heal brought."""

COUNTS = ("expected", "observed", "empty", "silent", "missing", "refused", "healed")

COVERAGE = pl.Schema(
    {
        "symbol": pl.String(),
        **{name: pl.Int32() for name in COUNTS},
        **{f"{name}_bits": pl.Binary() for name in BITMAPS},
        "attempts": pl.Int32(),
        "next_retry_at": TIMESTAMP_US,
        "checked_at": TIMESTAMP_US,
        "verified_at": TIMESTAMP_US,
        "authority": pl.String(),
        "last_error": pl.String(),
    }
)
"""One row per symbol. Counts are of the minutes closed at `checked_at`; `refused` minutes
are also counted in `missing`. verified_at is when a source of record last responded for the
whole session (null: never). authority is the best revision that responded, or `none`."""

CONNECTIONS = pl.Schema(
    {
        "writer": pl.String(),
        "connection": pl.String(),
        "channel": pl.String(),
        "connected_at": TIMESTAMP_US,
        "alive_until": TIMESTAMP_US,
        "disconnected_at": TIMESTAMP_US,
    }
)
"""One row per connection and channel (AM, T, Q, FMV). `connected_at` is when the channel
was confirmed, `alive_until` when the last sign of life came (data or heartbeat),
`disconnected_at` null while the connection stands. Key (writer, connection, channel)."""


@dataclass(slots=True, kw_only=True)
class SessionCoverage:
    """The coverage of one session, as arrays over sorted symbols.

    `bits` maps each of `BITMAPS` to bool[symbols, grid.width]. Mutable on
    purpose: a session of 8,000 symbols is updated in place in under a millisecond.
    """

    grid: MinuteGrid
    symbols: np.ndarray
    bits: dict[str, np.ndarray]
    attempts: np.ndarray
    next_retry_at: np.ndarray
    """datetime64[us], NaT where nothing waits."""
    verified_at: np.ndarray
    authority: np.ndarray
    last_error: np.ndarray
    checked_at: datetime | None = None

    @classmethod
    def blank(cls, grid: MinuteGrid, symbols: Iterable[str]) -> "SessionCoverage":
        """Start coverage in which every expected minute of `symbols` is missing."""
        names = np.array(sorted(set(symbols)), dtype=object)
        n = len(names)
        return cls(
            grid=grid,
            symbols=names,
            bits={name: np.zeros((n, grid.width), dtype=bool) for name in BITMAPS},
            attempts=np.zeros(n, dtype=np.int32),
            next_retry_at=np.full(n, np.datetime64("NaT", "us")),
            verified_at=np.full(n, np.datetime64("NaT", "us")),
            authority=np.full(n, "none", dtype=object),
            last_error=np.full(n, "", dtype=object),
        )

    @property
    def session(self) -> date:
        return self.grid.session

    def rows_of(self, symbols: Sequence[str] | np.ndarray) -> np.ndarray:
        """Return the row of each symbol, -1 for one that is not expected."""
        names = np.asarray(symbols, dtype=object)
        if not len(self.symbols):
            return np.full(len(names), -1)
        at = np.searchsorted(self.symbols, names)
        at[at == len(self.symbols)] = 0
        return np.where(self.symbols[at] == names, at, -1)

    def set_observed(self, bars: pl.DataFrame, *, healed: bool = False) -> int:
        """Mark the (symbol, minute) of `bars` observed; return how many were new.

        With `healed` the new ones are credited to a heal. Bars of unexpected
        symbols or off the grid are passed over: they stay in the lake.
        """
        rows, slots = self._cells(bars)
        observed = self.bits["observed"]
        before = np.count_nonzero(observed)
        if healed:
            fresh = ~observed[rows, slots]
            self.bits["healed"][rows[fresh], slots[fresh]] = True
        observed[rows, slots] = True
        return int(np.count_nonzero(observed) - before)

    def has_observed(self, bars: pl.DataFrame) -> bool:
        """Return whether each expected (symbol, minute) of `bars` is marked observed."""
        rows, slots = self._cells(bars)
        return bool(self.bits["observed"][rows, slots].all())

    def rebuild_observed(self, bars: pl.DataFrame) -> None:
        """Replace `observed` by what `bars` holds; `healed` never exceeds it."""
        self.bits["observed"][:] = False
        self.set_observed(bars)
        self.bits["healed"] &= self.bits["observed"]

    def confirm_empty(self, name: str, rows: np.ndarray | slice, first: int, last: int) -> None:
        """Set bitmap `name` over the slots `first` to `last`, both included."""
        # A negative bound would count from the end of the session.
        self.bits[name][rows, max(first, 0) : max(last + 1, 0)] = True

    def missing(self, closed: int | None = None) -> np.ndarray:
        """Return bool[symbols, width]: closed, and neither observed nor accounted for."""
        known = self.bits["observed"] | self.bits["empty"] | self.bits["silent"]
        return self._expected(closed) & ~known

    def unconfirmed(self, closed: int | None = None) -> np.ndarray:
        """Return bool[symbols, width]: missing or only presumed empty."""
        return self._expected(closed) & ~(self.bits["observed"] | self.bits["empty"])

    def counts(self, closed: int | None = None) -> dict[str, np.ndarray]:
        """Count each state per symbol over the minutes before slot `closed`; keys are `COUNTS`."""
        states = self.states(closed)
        return {name: state.sum(axis=1).astype(np.int32) for name, state in states.items()}

    def states(self, closed: int | None = None) -> dict[str, np.ndarray]:
        """Return bool[symbols, width] of each state before slot `closed`; keys are `COUNTS`.

        Every expected minute is in one state; `refused` are some of missing, `healed` some
        of observed.
        """
        expected = self._expected(closed)
        observed = self.bits["observed"] & expected
        empty = self.bits["empty"] & expected & ~observed
        silent = self.bits["silent"] & expected & ~observed & ~empty
        missing = expected & ~observed & ~empty & ~silent
        return {
            "expected": np.broadcast_to(expected, observed.shape),
            "observed": observed,
            "empty": empty,
            "silent": silent,
            "missing": missing,
            "refused": missing & self.bits["refused"],
            "healed": observed & self.bits["healed"],
        }

    def totals(self, closed: int | None = None) -> dict[str, int]:
        """Add `counts` up over all symbols."""
        return {name: int(count.sum()) for name, count in self.counts(closed).items()}

    def to_frame(self, closed: int | None = None) -> pl.DataFrame:
        """Return the coverage as a frame of `COVERAGE`."""
        packed = {name: np.packbits(self.bits[name], axis=1) for name in BITMAPS}
        return pl.DataFrame(
            {
                "symbol": self.symbols.tolist(),
                **self.counts(closed),
                **{f"{name}_bits": [row.tobytes() for row in packed[name]] for name in BITMAPS},
                "attempts": self.attempts,
                "next_retry_at": _instants(self.next_retry_at),
                "verified_at": _instants(self.verified_at),
                "checked_at": [self.checked_at] * len(self.symbols),
                "authority": self.authority.tolist(),
                "last_error": self.last_error.tolist(),
            },
            schema=COVERAGE,
        )

    @classmethod
    def from_frame(cls, grid: MinuteGrid, frame: pl.DataFrame) -> "SessionCoverage":
        """Read a frame of `COVERAGE` back; rows need not be sorted.

        Raise `InvalidDataError` when it was kept for a grid of another width (extended
        hours switched since): such coverage is to be derived again.
        """
        frame = frame.sort("symbol")
        checked = frame["checked_at"].max() if frame.height else None
        return cls(
            grid=grid,
            symbols=frame["symbol"].to_numpy().astype(object),
            bits={name: unpack(frame[f"{name}_bits"], grid.width) for name in BITMAPS},
            attempts=frame["attempts"].to_numpy().copy(),
            next_retry_at=frame["next_retry_at"].dt.replace_time_zone(None).to_numpy().copy(),
            verified_at=frame["verified_at"].dt.replace_time_zone(None).to_numpy().copy(),
            authority=frame["authority"].to_numpy().astype(object),
            last_error=frame["last_error"].fill_null("").to_numpy().astype(object),
            checked_at=checked if isinstance(checked, datetime) else None,
        )

    def _expected(self, closed: int | None) -> np.ndarray:
        slots = np.arange(self.grid.width)
        end = self.grid.end if closed is None else min(closed, self.grid.end)
        return (slots >= self.grid.first) & (slots < end)

    def _cells(self, bars: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        names = pl.Series("symbol", self.symbols.tolist(), dtype=pl.String)
        index = pl.DataFrame({"symbol": names, "row": np.arange(len(self.symbols))})
        start = int(self.grid.starts_at.timestamp()) * 1_000_000
        cells = (
            bars.lazy()
            .select(
                "symbol",
                ((pl.col("minute").cast(TIMESTAMP_US).to_physical() - start) // 60_000_000).alias(
                    "slot"
                ),
            )
            .filter(pl.col("slot").is_between(0, self.grid.width - 1))
            .join(index.lazy(), on="symbol")
            .select("row", "slot")
            .collect()
        )
        return cells["row"].to_numpy(), cells["slot"].to_numpy()


def universe_digest(symbols: Iterable[str], grid: MinuteGrid) -> str:
    """Return a digest of what a session should hold: its symbols and the minutes of its grid.

    A stored summary carries the digest it was made with. Where it differs from the present
    one, the watchlist, the listed symbols, the hours or the calendar have changed since.
    """
    return digest_of(sum(map(symbol_hash, set(symbols))), grid)


def digest_of(symbols_sum: int, grid: MinuteGrid) -> str:
    """Return `universe_digest` of symbols whose `symbol_hash` add up to `symbols_sum`.

    A sum is the same in any order, and that of the next session follows from who came and left.
    """
    minutes = f"{grid.session} {grid.starts_at.isoformat()} {grid.width} {grid.first} {grid.end}"
    text = f"{minutes} {symbols_sum:x}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=1 << 16)
def symbol_hash(symbol: str) -> int:
    """Return a number that stands for a symbol in the sum over a set of them."""
    return int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:16])


def to_instant(value: datetime) -> np.datetime64:
    """Return an instant as the arrays of coverage hold it: UTC, in microseconds."""
    return np.datetime64(value.astimezone(UTC).replace(tzinfo=None), "us")


def _instants(values: np.ndarray) -> pl.Series:
    return pl.Series(values.astype("datetime64[us]")).dt.replace_time_zone("UTC")


def unpack(column: pl.Series, width: int) -> np.ndarray:
    """Return bool[rows, width] of a column of packed bitmaps; null counts as no bit set.

    Raise `InvalidDataError` where a bitmap is not that wide: it was kept for another grid.
    """
    size = (width + 7) // 8
    blank = bytes(size)
    joined = b"".join(raw or blank for raw in column.to_list())
    if column.bin.size().drop_nulls().is_in([0, size]).not_().any():
        raise InvalidDataError(f"{column.name} is not of {width} minutes")
    packed = np.frombuffer(joined, dtype=np.uint8).reshape(len(column), size)
    return np.unpackbits(packed, axis=1, count=width).astype(bool)


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (row, first, last) of every run of True along the second axis, in row order."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, first = np.nonzero(edges == 1)
    _, last = np.nonzero(edges == -1)
    return row, first, last - 1
