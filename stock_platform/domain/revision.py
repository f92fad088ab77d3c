"""How well founded a bar is. A better revision replaces a worse one, never back.

Authority belongs to the provider and the revision together, and is recorded with the
claim: what a source that is not of record responds has revision `fill`, whenever it was
requested. So a merge needs the rows alone, whatever the settings say later.
"""

from collections.abc import Collection
from enum import StrEnum

import polars as pl

SECOND_SOURCES = ("finnhub",)
"""Built-in providers that come after any other: their rows of before `fill` was recorded
carry the revision of a record, and still never overrule a row of another provider."""
FROM_MINUTES = "minute_bars"
"""The provider of a daily bar or a quote made from minute bars: never taken for a vendor's own."""

_VENDORS = {"massive_flatfiles": "massive"}


class Revision(StrEnum):
    """In rising order of authority."""

    FILL = "fill"
    """From a source that is not of record: fills holes, overrules and proves nothing."""
    LIVE = "live"
    """Streamed while the market ran; may be re-sent with other values."""
    REST = "rest"
    """Requested after the minute had closed."""
    FINAL = "final"
    """From the record rebuilt after the close: flat file, or REST once settled."""
    CORRECTION = "correction"
    """A later correction of the final record."""

    @property
    def rank(self) -> int:
        """Return the place among revisions; `live` is 0."""
        return list(Revision).index(self) - 1

    @property
    def proves_empty(self) -> bool:
        """Whether a successful response of this revision proves a minute without a bar."""
        return self.rank > 0


DTYPE = pl.Enum([revision.value for revision in Revision])
"""The column type: ordered as above, dictionary-encoded on disk, VARCHAR in SQL."""


def vendor(provider: str) -> str:
    """Return whose data a provider brings: the flat files of Massive are Massive's."""
    return _VENDORS.get(provider, provider)


def of_record(providers: Collection[str]) -> frozenset[str]:
    """Return those of `providers` that are of record: all, unless some come second."""
    first = frozenset(name for name in providers if name not in SECOND_SOURCES)
    return first or frozenset(providers)


def rank_of_rows() -> pl.Expr:
    """Return the rank of each row: authority of its provider first, then its revision.

    Made from minutes comes last, then a second source, then the record.
    """
    provider, revision = pl.col("provider"), pl.col("revision").cast(DTYPE)
    second = provider.is_in(SECOND_SOURCES) | (revision == Revision.FILL.value)
    authority = pl.when(provider == FROM_MINUTES).then(0).when(second).then(1).otherwise(2)
    return authority.cast(pl.Int8) * len(Revision) + revision.to_physical().cast(pl.Int8)


def as_fill(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the bars of a source that is not of record, as it claims them."""
    return bars.with_columns(pl.lit(Revision.FILL.value, DTYPE).alias("revision"))
