"""How well founded a bar is. A better revision replaces a worse one, never back."""

from enum import StrEnum

import polars as pl


class Revision(StrEnum):
    """In rising order of authority."""

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
        return list(Revision).index(self)

    @property
    def proves_empty(self) -> bool:
        """Whether a successful response of this revision proves a minute without a bar."""
        return self is not Revision.LIVE


DTYPE = pl.Enum([revision.value for revision in Revision])
"""The column type: ordered as above, dictionary-encoded on disk, VARCHAR in SQL."""
