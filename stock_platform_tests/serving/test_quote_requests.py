"""Quote requests are answered once each, whatever is in the queue and whatever the vendor does."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.rejections import REJECTED
from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.sources import QuoteResponse
from stock_platform.serving.quote_requests import Processed, process_requests
from stock_platform.serving.sqs import QuoteQueue
from stock_platform_tests.serving.answering import Vendor, answer_requests
from stock_platform_tests.serving.made_quotes import NOON


@dataclass(frozen=True)
class ScriptedVendor:
    """Answers with what the test made of the request."""

    say: Callable[[Sequence[str], datetime], QuoteResponse]
    asked: list[tuple[str, ...]] = field(default_factory=list)
    name: str = "finnhub"

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        self.asked.append(tuple(symbols))
        return self.say(symbols, minute)


def ask(queue: QuoteQueue, vendor: ScriptedVendor | Vendor, **kept: list) -> Processed:
    published, rejected = kept.get("published", []), kept.get("rejected", [])
    return process_requests(
        queue,
        vendor,
        lambda _session, quotes: published.append(quotes),
        quarantine=rejected.append,
        batches_max=50,
    )


def raising(problem: PlatformError) -> ScriptedVendor:
    def say(_symbols: Sequence[str], _minute: datetime) -> QuoteResponse:
        raise problem

    return ScriptedVendor(say)


def failing(**answer: object) -> ScriptedVendor:
    return ScriptedVendor(
        lambda _s, minute: QuoteResponse(provider="finnhub", minute=minute, asked_at=NOON, **answer)
    )


def waiting(queue: QuoteQueue) -> tuple[int, int]:
    """Count the messages (visible, taken) of the queue."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)
    visible, taken = (int(told["Attributes"][name]) for name in names)
    return visible, taken


def dead_lettered(queue: QuoteQueue) -> dict[str, str]:
    """Return the reason of each dead letter by its body."""
    answer = queue.client.receive_message(
        QueueUrl=queue.dead_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    return {
        each["Body"]: each["MessageAttributes"]["reason"]["StringValue"]
        for each in answer.get("Messages", [])
    }


def test_requests_are_answered_in_tens_and_deleted(queue: QuoteQueue) -> None:
    symbols = [f"S{n:03d}" for n in range(27)]
    published: list[pl.DataFrame] = []

    sent = queue.enqueue(symbols)
    done = ask(queue, Vendor(), published=published)

    assert sent == 27
    assert (done.answered, done.published_rows, done.released) == (27, 27, 0)
    assert sorted(pl.concat(published)["symbol"]) == symbols
    assert waiting(queue) == (0, 0)


def test_a_quote_is_stamped_with_the_minute_its_request_was_sent_in(queue: QuoteQueue) -> None:
    published: list[pl.DataFrame] = []
    queue.enqueue(["GOOG"])
    [message] = queue.receive()
    queue.release([message])

    ask(queue, Vendor(), published=published)

    assert published[0]["minute"].to_list() == [message.minute]
    assert message.minute <= message.sent_at < message.minute + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{not json", "malformed: expected"),
        ('{"ticker": "GOOG"}', 'malformed: expected {"symbol": ...}: Object missing'),
        ('{"symbol": 7}', 'malformed: expected {"symbol": ...}: Expected `str`, got `int`'),
        ('["GOOG"]', "malformed: expected"),
        ("GOOG", "malformed: expected"),
        ('{"symbol": ""}', "malformed: a symbol is a non-empty text"),
        ('{"symbol": "../../etc/passwd"}', "malformed: a symbol starts with a letter"),
        ('{"symbol": "A/../../B"}', "malformed: a symbol starts with a letter"),
        ('{"symbol": "GOOG\\u0000"}', "malformed: a symbol starts with a letter"),
        ('{"symbol": "\\ud83d\\ude80"}', "malformed: a symbol starts with a letter"),
        ('{"symbol": "' + "A" * 300 + '"}', "malformed: a symbol has at most 32"),
        ('{"symbol": "UNKNOWN"}', "unknown symbol: finnhub has no quote of it"),
    ],
)
def test_a_bad_request_is_dead_lettered_with_its_reason(
    queue: QuoteQueue, body: str, reason: str
) -> None:
    queue.client.send_message(QueueUrl=queue.url, MessageBody=body)
    queue.enqueue(["GOOG"])

    done = ask(queue, Vendor())

    assert (done.answered, done.dead_lettered) == (1, 1)
    [(dead, reason_given)] = dead_lettered(queue).items()
    assert dead == body
    assert reason_given.startswith(reason)
    assert waiting(queue) == (0, 0)


def test_a_refused_symbol_is_dead_lettered_and_not_asked_again(queue: QuoteQueue) -> None:
    queue.enqueue(["GOOG"])

    done = ask(queue, failing(refused=("GOOG",), detail="not in the plan"))

    assert done.dead_lettered == 1
    assert list(dead_lettered(queue).values()) == ["refused by finnhub: not in the plan"]


def test_duplicates_cost_one_question_and_make_one_row(queue: QuoteQueue, tmp_path: Path) -> None:
    for _ in range(3):
        queue.enqueue(["GOOG"])

    done = answer_requests(queue, Vendor(), str(tmp_path / "lake"))

    assert done.answered == 3
    assert done.published_rows <= 2, "one row a minute, and sending may cross one"
    assert waiting(queue) == (0, 0)


def test_trouble_that_passes_gives_requests_back_untouched(queue: QuoteQueue) -> None:
    queue.enqueue(["GOOG", "MSFT"])

    done = ask(queue, raising(TransientError("HTTP 503")))

    assert (done.answered, done.released, done.detail) == (0, 2, "HTTP 503")
    assert waiting(queue) == (2, 0)


def test_a_named_delay_keeps_requests_away_for_as_long(queue: QuoteQueue) -> None:
    queue.enqueue(["GOOG"])

    ask(queue, raising(TransientError("HTTP 429", delay_s=60)))

    assert waiting(queue) == (0, 1)


def test_rubbish_instead_of_an_answer_buries_nobody(queue: QuoteQueue) -> None:
    queue.enqueue(["GOOG"])

    done = ask(queue, raising(InvalidDataError("HTML with 200")))

    assert (done.dead_lettered, done.released) == (0, 1)


@pytest.mark.parametrize(
    "problem", [PermanentError("wrong key"), NotEntitledError("the plan has no quotes")]
)
def test_trouble_that_concerns_everybody_is_raised_and_loses_nothing(
    queue: QuoteQueue, problem: PlatformError
) -> None:
    queue.enqueue(["GOOG", "MSFT"])

    with pytest.raises(type(problem), match=str(problem)):
        ask(queue, raising(problem))

    assert waiting(queue) == (2, 0)
    assert not dead_lettered(queue)


def test_a_failing_publication_deletes_nothing(queue: QuoteQueue) -> None:
    def fail(_session: object, _quotes: object) -> None:
        raise PermanentError("the lake is read-only")

    queue.enqueue(["GOOG"])

    with pytest.raises(PermanentError, match="read-only"):
        process_requests(queue, Vendor(), fail, quarantine=print, batches_max=1)

    assert waiting(queue) == (1, 0)


def test_a_request_without_an_answer_is_tried_so_often_and_then_dead_lettered(
    queue: QuoteQueue,
) -> None:
    queue.enqueue(["GOOG"])
    vendor = failing(failed=("GOOG",), detail="timed out")

    released = [ask(queue, vendor).released for _ in range(queue.receives_max)]

    assert released == [1] * (queue.receives_max - 1) + [0]
    assert list(dead_lettered(queue).values()) == ["no quote after 5 deliveries: timed out"]


def test_a_quote_that_can_not_be_right_is_quarantined_and_asked_again(queue: QuoteQueue) -> None:
    row = dict.fromkeys(("dataset", "provider", "symbol", "record"), "GOOG")
    bad = pl.DataFrame([row | {"reason": "price is not positive"}], schema=REJECTED)
    rejected: list[pl.DataFrame] = []
    queue.enqueue(["GOOG"])

    done = ask(queue, failing(rejected=bad), rejected=rejected)

    assert (done.released, done.detail) == (1, "price is not positive")
    assert rejected[0].equals(bad)


def test_half_an_answer_settles_half_the_requests(queue: QuoteQueue) -> None:
    def say(symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        good = Vendor().quotes([s for s in symbols if s < "M"], minute)
        return QuoteResponse(
            provider="finnhub",
            minute=minute,
            asked_at=NOON,
            quotes=good.quotes,
            failed=("MSFT", "NVDA"),
        )

    queue.enqueue(["AAPL", "GOOG", "MSFT", "NVDA"])

    done = ask(queue, ScriptedVendor(say))

    assert (done.answered, done.released, done.published_rows) == (2, 2, 2)
    assert waiting(queue) == (2, 0)


def test_a_slow_vendor_does_not_hand_requests_to_others(queue: QuoteQueue) -> None:
    quick = QuoteQueue(client=queue.client, url=queue.url, dead_url=queue.dead_url, visibility_s=1)
    taken_by_others: list[object] = []

    def say(symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        taken_by_others.extend(queue.receive(wait_s=3))
        return Vendor().quotes(symbols, minute)

    queue.enqueue(["GOOG"])
    done = ask(quick, ScriptedVendor(say))

    assert (done.answered, taken_by_others) == (1, [])


def test_two_consumers_share_the_queue_and_lose_nothing(queue: QuoteQueue, tmp_path: Path) -> None:
    symbols = [f"S{n:03d}" for n in range(60)]
    queue.enqueue(symbols)
    done: list[Processed] = []
    answer = partial(answer_requests, queue, Vendor(), str(tmp_path / "lake"))

    consumers = [threading.Thread(target=lambda: done.append(answer())) for _ in range(2)]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        consumer.join()

    assert sum(each.answered for each in done) == 60
    assert waiting(queue) == (0, 0)


def test_an_empty_queue_is_no_work(queue: QuoteQueue) -> None:
    assert ask(queue, Vendor()) == Processed()
