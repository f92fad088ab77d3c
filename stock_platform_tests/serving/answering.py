"""A process that answers quote requests and stops at a named point, to be killed there.

python -m stock_platform_tests.serving.answering ENDPOINT QUEUE DEAD LAKE POINT
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.lake.object_store import open_store
from stock_platform.lake.write import publish_quotes
from stock_platform.providers.sources import QuoteResponse
from stock_platform.serving.quote_requests import Processed, process_requests
from stock_platform.serving.sqs import Message, QuoteQueue
from stock_platform.settings import LakeSettings, QueueSettings, ServingSettings
from stock_platform_tests.serving.made_quotes import made_quote

POINTS = ("taken", "asked", "published", "half deleted", "buried")


@dataclass(frozen=True)
class Vendor:
    """Knows every symbol but UNKNOWN; another price at each asking, as a real one."""

    name: str = "finnhub"

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        now = datetime.now(UTC)
        known = [
            made_quote(
                symbol,
                minute=minute,
                price=f"{time.monotonic_ns() % 10**8 / 10**4 + 1:.4f}",
                quoted_at=now,
                observed_at=now,
            )
            for symbol in symbols
            if symbol != "UNKNOWN"
        ]
        absent = tuple(symbol for symbol in symbols if symbol == "UNKNOWN")
        frame = pl.concat(known) if known else pl.DataFrame(schema=RAW_QUOTES)
        return QuoteResponse(
            provider=self.name, minute=minute, asked_at=now, quotes=frame, absent=absent
        )


def stop(point: str) -> None:
    """Return where we are and wait there for the kill."""
    print(point, flush=True)
    sys.stdin.read()


@dataclass(frozen=True, slots=True)
class StoppingQueue(QuoteQueue):
    """The real queue; stops where the command line said."""

    point: str = ""

    def receive(self, wait_s: int = 1) -> list[Message]:
        taken = QuoteQueue.receive(self, wait_s)
        if self.point == "taken":
            stop(self.point)
        return taken

    def delete(self, messages: Sequence[Message]) -> int:
        if self.point == "buried" and len(messages) == 1:
            stop(self.point)
        if self.point == "half deleted":
            QuoteQueue.delete(self, messages[: len(messages) // 2])
            stop(self.point)
        return QuoteQueue.delete(self, messages)


@dataclass(frozen=True)
class StoppingVendor(Vendor):
    """Answers; stops where the command line said."""

    point: str = ""

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        answer = Vendor.quotes(self, symbols, minute)
        if self.point == "asked":
            stop(self.point)
        return answer


def answer_requests(queue: QuoteQueue, vendor: Vendor, lake: str, point: str = "") -> Processed:
    """Answer into a lake on disk."""
    store = open_store(LakeSettings(lake=lake))

    def publish(session: date, quotes: pl.DataFrame) -> None:
        publish_quotes(store, session, quotes)
        if point == "published":
            stop(point)

    return process_requests(
        queue, vendor, publish, quarantine=lambda _rejected: None, batches_max=50
    )


def main() -> None:
    endpoint, queue, dead, lake, point = sys.argv[1:]
    found = QuoteQueue.open(
        QueueSettings(quote_queue=queue, quote_dead_letters=dead),
        ServingSettings(aws_endpoint=endpoint, aws_access_key="test", aws_secret_key="test"),
    )
    stopping = StoppingQueue(
        client=found.client, url=found.url, dead_url=found.dead_url, visibility_s=1, point=point
    )
    answer_requests(stopping, StoppingVendor(point=point), lake, point)


if __name__ == "__main__":
    main()
