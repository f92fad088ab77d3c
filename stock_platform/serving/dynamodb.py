"""The newest quote of every symbol in DynamoDB, for look-ups by key.

BatchWriteItem is the fast way to write and has no conditions: a late batch
would put an older quote over a newer one. So a batch read finds what is newer
than stored, and only that is written, each under the condition that it still is.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from stock_platform.serving.aws import open_client, translated, until_done
from stock_platform.settings import ServingSettings

KEYS_PER_READ = 100
"""The bound of BatchGetItem."""
AHEAD_MAX = timedelta(minutes=10)
"""A quote from further in the future is passed over: it would shut out every real one."""

_INSTANT = "%Y-%m-%dT%H:%M:%S%.6fZ"
"""Of fixed width, so that DynamoDB compares texts and means times."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Counts of the quotes of one write, one per symbol."""

    written: int
    stale: int
    """Not newer than what is stored, or older than another quote of the same write."""
    ahead: int
    """Stamped more than `AHEAD_MAX` after now."""


@dataclass(frozen=True, slots=True)
class LatestQuotes:
    """The table; safe to share between threads."""

    client: Any
    table: str
    writers: int = 8

    @classmethod
    def open(cls, settings: ServingSettings) -> "LatestQuotes":
        """Open the configured table; no request is sent yet."""
        client = open_client(settings, "dynamodb")
        return cls(client, settings.latest_quotes_table, settings.latest_quotes_writers)

    def write(self, quotes: pl.DataFrame, now: datetime) -> Refreshed:
        """Store each symbol's newest quote of `quotes` (RAW_QUOTES) unless one as new is there.

        Safe to repeat, in any order and from several processes: a second time
        nothing is written, and the time of insertion stays the first one's.
        """
        sane = quotes.filter(pl.col("quoted_at") <= now + AHEAD_MAX)
        newest = sane.sort("quoted_at", "observed_at").unique("symbol", keep="last")
        items = [_item(row, now) for row in _texts(newest).iter_rows(named=True)]
        stored = self._stored_times([item["symbol"]["S"] for item in items])
        fresh = [
            item for item in items if item["quoted_at"]["S"] > stored.get(item["symbol"]["S"], "")
        ]
        with ThreadPoolExecutor(self.writers) as writers:
            written = sum(writers.map(self._put, fresh))
        return Refreshed(written, sane.height - written, quotes.height - sane.height)

    def read(self, symbols: list[str]) -> list[dict[str, str]]:
        """Return the stored items of `symbols` that exist, as text, sorted by symbol."""
        found = self._get(symbols, projection=None)
        items = [{name: next(iter(value.values())) for name, value in i.items()} for i in found]
        return sorted(items, key=lambda item: item["symbol"])

    def create_table(self) -> bool:
        """Create the table (local use); return False when it exists."""
        with translated(f"DynamoDB: create {self.table}"):
            try:
                self.client.create_table(
                    TableName=self.table,
                    KeySchema=[{"AttributeName": "symbol", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "symbol", "AttributeType": "S"}],
                    BillingMode="PAY_PER_REQUEST",
                )
            except self.client.exceptions.ResourceInUseException:
                return False
            self.client.get_waiter("table_exists").wait(TableName=self.table)
        return True

    def _stored_times(self, symbols: list[str]) -> dict[str, str]:
        found = self._get(symbols, projection="symbol, quoted_at")
        return {item["symbol"]["S"]: item["quoted_at"]["S"] for item in found}

    def _get(self, symbols: list[str], projection: str | None) -> list[dict[str, dict[str, str]]]:
        found: list[dict[str, dict[str, str]]] = []
        what = f"DynamoDB: read {self.table}"

        def request_chunk(chunk: list[str]) -> list[str]:
            keys = [{"symbol": {"S": symbol}} for symbol in chunk]
            request: dict[str, Any] = {"Keys": keys, "ConsistentRead": True}
            if projection:
                request["ProjectionExpression"] = projection
            with translated(what):
                response = self.client.batch_get_item(RequestItems={self.table: request})
            found.extend(response["Responses"].get(self.table, []))
            left = response.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            return [key["symbol"]["S"] for key in left]

        until_done(what, sorted(set(symbols)), request_chunk, chunk=KEYS_PER_READ)
        return found

    def _put(self, item: dict[str, dict[str, str]]) -> bool:
        with translated(f"DynamoDB: write {self.table}"):
            try:
                self.client.put_item(
                    TableName=self.table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(symbol) OR quoted_at < :quoted_at",
                    ExpressionAttributeValues={":quoted_at": item["quoted_at"]},
                )
            except self.client.exceptions.ConditionalCheckFailedException:
                # Someone stored this or a newer one between our read and our write.
                return False
        return True


def _texts(quotes: pl.DataFrame) -> pl.DataFrame:
    numbers = pl.col("price", "high", "low").cast(pl.String)
    return quotes.select(
        "symbol",
        "provider",
        numbers.str.strip_chars_end("0").str.strip_chars_end("."),
        pl.col("minute", "quoted_at").dt.strftime(_INSTANT),
    )


def _item(row: dict[str, str | None], now: datetime) -> dict[str, dict[str, str]]:
    numbers = {name: row[name] for name in ("price", "high", "low")}
    inserted = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    day, _, time = inserted.partition("T")
    texts = {name: row[name] for name in ("symbol", "provider", "minute", "quoted_at")}
    texts |= {"inserted_date": day, "inserted_time": time}
    return {name: {"N": value} for name, value in numbers.items() if value is not None} | {
        name: {"S": value} for name, value in texts.items() if value is not None
    }
