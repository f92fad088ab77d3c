"""What a provider responded about an interval: bars, refusals, and what that proves.

Responses are kept (see lake/), so that "this minute is empty" can be re-derived
at any time from which provider responded, when, and for which minutes.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl

from stock_platform.domain import bars as bar
from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.revision import Revision, as_fill, of_record
from stock_platform.domain.sessions import MinuteGrid

EVERY_SYMBOL = "*"

PROVIDER_RESPONSES = pl.Schema(
    {
        "provider": pl.String(),
        "symbol": pl.String(),
        "first": bar.TIMESTAMP_US,
        "last": bar.TIMESTAMP_US,
        "revision": pl.String(),
        "outcome": pl.String(),
        "bars": pl.Int64(),
        "detail": pl.String(),
        "asked_at": bar.TIMESTAMP_US,
    }
)
"""One row per response; symbol `*` means every listed symbol; first and last are minute
starts, inclusive; outcome is `ok`, `refused`, `failed` or `rejected` (with `detail`). A
rejected row takes one minute back out of an ok response: its bar was rejected."""

_NO_BARS = pl.DataFrame(schema=bar.MINUTE_BARS)
_NOTHING_REJECTED = pl.DataFrame(schema=REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderResponse:
    """A provider's response for the minutes `first` to `last` (starts, inclusive, UTC).

    `symbols` None covers every symbol the provider lists. `outcome` ok with
    revision above live proves every covered minute without a bar empty; a response of
    revision fill is that of a second source, which proves nothing.
    """

    provider: str
    session: date
    symbols: tuple[str, ...] | None
    first: datetime
    last: datetime
    asked_at: datetime
    revision: Revision
    outcome: str = "ok"
    detail: str = ""
    bars: pl.DataFrame = field(default_factory=_NO_BARS.clone)
    rejected: pl.DataFrame = field(default_factory=_NOTHING_REJECTED.clone)

    def from_second_source(self) -> "ProviderResponse":
        """Return the response as one of a source that is not of record: it only fills."""
        return replace(self, revision=Revision.FILL, bars=as_fill(self.bars))

    def slots(self, grid: MinuteGrid) -> tuple[int, int]:
        """Return the slots of `grid` that the response covers; last < first when none."""
        return grid.slots_within(self.first, self.last)

    def to_rows(self) -> list[dict[str, object]]:
        """Return the rows of `PROVIDER_RESPONSES` that record this response."""
        counts = dict(self.bars.group_by("symbol").len().iter_rows()) if self.bars.height else {}
        symbols = (EVERY_SYMBOL,) if self.symbols is None else self.symbols
        rows = [
            self._row(symbol, (self.first, self.last), self.outcome, self.detail)
            | {"bars": self.bars.height if symbol == EVERY_SYMBOL else counts.get(symbol, 0)}
            for symbol in symbols
        ]
        rejected = [
            self._row(symbol, minutes, "rejected", reason)
            for symbol, minutes, reason in self.rejected_intervals()
        ]
        return rows + rejected

    def rejected_intervals(self) -> list[tuple[str, tuple[datetime, datetime], str]]:
        """Return (symbol, minutes, reason) of every bar that came but could not be right.

        A bar whose minute could not be read may have been any of those covered.
        """
        if not self.rejected.height:
            return []
        rows = self.rejected.filter(pl.col("symbol").is_not_null())
        # A bar off the minute concerns the minute it lies in.
        minute = pl.col("at").dt.truncate("1m")
        rows = rows.select("symbol", minute, "reason").unique(maintain_order=True)
        return [
            (symbol, (self.first, self.last) if at is None else (at, at), reason)
            for symbol, at, reason in rows.iter_rows()
        ]

    def _row(
        self, symbol: str, minutes: tuple[datetime, datetime], outcome: str, detail: str
    ) -> dict[str, object]:
        return {
            "provider": self.provider,
            "symbol": symbol,
            "first": minutes[0],
            "last": minutes[1],
            "revision": self.revision.value,
            "outcome": outcome,
            "bars": 0,
            "detail": detail,
            "asked_at": self.asked_at,
        }


def with_authority(responses: pl.DataFrame) -> pl.DataFrame:
    """Take what a second source responded for no evidence, though recorded as if it were.

    Earlier releases recorded it with the revision of a record.
    """
    record = of_record(responses["provider"].unique().to_list())
    second = ~pl.col("provider").is_in(sorted(record))
    fill = pl.when(second).then(pl.lit(Revision.FILL.value)).otherwise("revision")
    return responses.with_columns(fill.alias("revision"))
