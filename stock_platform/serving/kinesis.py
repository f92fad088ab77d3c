"""Raw quotes into a Kinesis stream, for consumers who do not read the lake. Optional.

At least once: a record whose response was lost is sent again. Consumers recognise
repeats by (symbol, minute, provider), the key of raw_quotes.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.errors import PermanentError
from stock_platform.serving.aws import open_client, translated, until_done
from stock_platform.settings import ServingSettings

RECORDS_PER_CALL = 500
"""The bound of PutRecords; 500 quotes are about 150 kB of its 5 MB."""

_INSTANT = "%Y-%m-%dT%H:%M:%S%.6fZ"


@dataclass(frozen=True, slots=True)
class QuoteStream:
    """The stream; a symbol's quotes share a shard, and so arrive in the order they were sent."""

    client: Any
    stream: str

    @classmethod
    def open(cls, settings: ServingSettings) -> "QuoteStream | None":
        """Open the configured stream; None when there is none."""
        if not settings.quotes_stream:
            return None
        return cls(open_client(settings, "kinesis"), settings.quotes_stream)

    def put(self, quotes: pl.DataFrame) -> int:
        """Send every row of `quotes` (RAW_QUOTES) as one JSON record; return how many.

        Numbers are text, so that they stay exact. Only records the stream did
        not take are sent again; raises `TransientError` when some are left.
        """
        if dict(quotes.schema) != dict(RAW_QUOTES):
            raise PermanentError("quotes to stream: expected the columns of RAW_QUOTES")
        records = [
            {"Data": msgspec.json.encode(row), "PartitionKey": row["symbol"]}
            for row in _texts(quotes).iter_rows(named=True)
        ]
        what = f"Kinesis: write {self.stream}"
        until_done(what, records, self._put_records, chunk=RECORDS_PER_CALL)
        return len(records)

    def _put_records(self, chunk: list[dict[str, Any]]) -> list[dict[str, Any]]:
        with translated(f"Kinesis: write {self.stream}"):
            response = self.client.put_records(StreamName=self.stream, Records=chunk)
        outcomes = zip(chunk, response["Records"], strict=True)
        return [record for record, outcome in outcomes if outcome.get("ErrorCode")]


def _texts(quotes: pl.DataFrame) -> pl.DataFrame:
    return quotes.select(
        pl.col(name).dt.strftime(_INSTANT)
        if isinstance(dtype, pl.Datetime)
        else pl.col(name).cast(pl.String)
        for name, dtype in RAW_QUOTES.items()
    )
