"""Room for results: one array per column, filled in place and handed to Polars as it is.

At millions of rows the arithmetic of an indicator costs less than moving its numbers
about: every copy of a column is new memory that the system has to map and clear first.
So the arrays are made once, become the columns of the frame themselves, and lie in
memory of Arrow's pool, which keeps what was given back for the next session.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from stock_platform.indicators.indicator import Column


@dataclass(frozen=True, slots=True)
class ResultBuffers:
    """Equally long columns of numbers by name; what is not finite becomes null."""

    numbers: dict[str, np.ndarray]
    finite: dict[str, np.ndarray]

    @classmethod
    def allocate(cls, columns: Iterable[Column], rows: int) -> "ResultBuffers":
        """Make room for `columns`; what is in it before it is filled is arbitrary."""
        names = [column.name for column in columns]
        return cls(
            {name: _memory(rows, np.dtype(np.float64)) for name in names},
            {name: _memory(rows, np.dtype(np.bool_)) for name in names},
        )

    def of(self, columns: Iterable[Column]) -> list[np.ndarray]:
        """Return the arrays to write `columns` into."""
        return [self.numbers[column.name] for column in columns]

    def mark_finite(self, columns: Iterable[Column], rows: slice) -> None:
        """Note which numbers in `rows` are finite; best while they are still in the cache."""
        for column in columns:
            np.isfinite(self.numbers[column.name][rows], out=self.finite[column.name][rows])

    def series(self) -> list[pl.Series]:
        """Return the columns, every row filled, without copying the numbers."""
        return [_nullable(n, numbers, self.finite[n]) for n, numbers in self.numbers.items()]


# Arrow is loaded when something is computed: listing the indicators, as Dagster's
# definitions do, does not need it.


def _memory(rows: int, kind: np.dtype) -> np.ndarray:
    import pyarrow as pa

    return np.frombuffer(pa.allocate_buffer(rows * kind.itemsize), dtype=kind)


def _nullable(name: str, numbers: np.ndarray, finite: np.ndarray) -> pl.Series:
    import pyarrow as pa

    nulls = len(finite) - int(np.count_nonzero(finite))
    valid = pa.py_buffer(np.packbits(finite, bitorder="little")) if nulls else None
    column = pa.Array.from_buffers(
        pa.float64(), len(numbers), [valid, pa.py_buffer(numbers)], null_count=nulls
    )
    return pl.DataFrame({name: column}).to_series()
