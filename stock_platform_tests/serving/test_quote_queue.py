"""Requests enter the queue once, and what kills their reader loses none of them."""

import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError, PermanentError, TransientError
from stock_platform.lake.object_store import open_store
from stock_platform.lake.read import raw_quotes
from stock_platform.serving.sqs import QuoteQueue, create_queues
from stock_platform.settings import LakeSettings, QueueSettings, ServingSettings
from stock_platform_tests.serving.answering import POINTS, Vendor, answer_requests
from stock_platform_tests.serving.faulty import Faults, Forward, Reply, answer_lost, error


def all_symbols(queue: QuoteQueue) -> list[str]:
    found: list[str] = []
    while messages := queue.receive(wait_s=0):
        found.extend(message.symbol() for message in messages)
    return sorted(found)


def test_every_symbol_is_enqueued_once(queue: QuoteQueue) -> None:
    symbols = [f"S{n:03d}" for n in range(23)]

    assert queue.enqueue([*symbols, *symbols]) == 23
    assert all_symbols(queue) == symbols


def test_only_what_sqs_did_not_take_is_sent_again(
    troubled_queue: QuoteQueue, faults: Faults
) -> None:
    def take_the_first(body: dict, forward: Forward) -> Reply:
        first, *rest = body["Entries"]
        answer = forward(body | {"Entries": [first]})
        busy = {"Code": "InternalError", "SenderFault": False, "Message": "busy"}
        return 200, answer | {"Failed": [busy | {"Id": entry["Id"]} for entry in rest]}

    faults.plan("SendMessageBatch", take_the_first, error("InternalFailure", 500), take_the_first)

    troubled_queue.enqueue(["GOOG", "MSFT", "NVDA", "RKLB"])

    assert all_symbols(troubled_queue) == ["GOOG", "MSFT", "NVDA", "RKLB"]
    sent = [len(body["Entries"]) for body in faults.asked("SendMessageBatch")]
    assert sent == [4, 3, 3, 2]


def test_requests_whose_answer_was_lost_may_double_and_never_vanish(
    troubled_queue: QuoteQueue, faults: Faults
) -> None:
    faults.plan("SendMessageBatch", answer_lost)

    troubled_queue.enqueue(["GOOG", "MSFT"])

    assert set(all_symbols(troubled_queue)) == {"GOOG", "MSFT"}


def test_a_fault_of_ours_is_not_repeated(troubled_queue: QuoteQueue, faults: Faults) -> None:
    def refuse(body: dict, _forward: Forward) -> Reply:
        fault = {"Code": "InvalidMessageContents", "SenderFault": True}
        return 200, {"Successful": [], "Failed": [fault | {"Id": body["Entries"][0]["Id"]}]}

    faults.plan("SendMessageBatch", refuse)

    with pytest.raises(PermanentError, match="InvalidMessageContents"):
        troubled_queue.enqueue(["GOOG"])
    assert len(faults.asked("SendMessageBatch")) == 1


def test_endless_partial_failures_end_as_transient(
    troubled_queue: QuoteQueue, faults: Faults
) -> None:
    def take_none(body: dict, _forward: Forward) -> Reply:
        busy = {"Code": "InternalError", "SenderFault": False}
        return 200, {"Successful": [], "Failed": [busy | {"Id": e["Id"]} for e in body["Entries"]]}

    faults.plan("SendMessageBatch", *[take_none] * 8)

    with pytest.raises(TransientError, match="2 of 2 were not accepted"):
        troubled_queue.enqueue(["GOOG", "MSFT"])


def test_a_symbol_that_cannot_be_one_stops_the_sending_before_it_starts(queue: QuoteQueue) -> None:
    with pytest.raises(InvalidDataError):
        queue.enqueue(["GOOG", "../etc"])

    assert all_symbols(queue) == []


def test_a_queue_that_does_not_exist_is_permanent_and_named(aws: ServingSettings) -> None:
    with pytest.raises(PermanentError, match="no-such-queue"):
        QuoteQueue.open(QueueSettings(quote_queue="no-such-queue"), aws)


def test_creating_the_queues_again_changes_nothing(
    queue: QuoteQueue, queue_settings: QueueSettings, aws: ServingSettings
) -> None:
    queue.enqueue(["GOOG"])

    create_queues(queue_settings, aws)

    assert all_symbols(queue) == ["GOOG"]


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_reader_loses_no_request_and_doubles_no_row(
    point: str,
    queue: QuoteQueue,
    queue_settings: QueueSettings,
    aws_server: str,
    tmp_path: Path,
) -> None:
    lake = str(tmp_path / "lake")
    queue.enqueue(["GOOG", "MSFT", "NVDA", "QUBT", "RKLB"])
    queue.client.send_message(QueueUrl=queue.url, MessageBody="{not json")
    names = (queue_settings.quote_queue, queue_settings.quote_dead_letters)

    _kill_at(point, [aws_server, *names, lake, point])
    _answer_until_empty(queue, lake)

    quotes = _all_quotes(lake)
    assert sorted(quotes["symbol"]) == ["GOOG", "MSFT", "NVDA", "QUBT", "RKLB"]
    dead = queue.client.receive_message(QueueUrl=queue.dead_url, MaxNumberOfMessages=10)
    assert {message["Body"] for message in dead["Messages"]} == {"{not json"}


def _kill_at(point: str, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "stock_platform_tests.serving.answering", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        said = (line.strip() for line in reader.stdout)
        assert point in said
        reader.send_signal(signal.SIGKILL)


def _answer_until_empty(queue: QuoteQueue, lake: str) -> None:
    """Answer until nothing is visible nor taken: what the killed reader held comes back."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer_requests(queue, Vendor(), lake)
        told = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)
        if not any(int(told["Attributes"][name]) for name in names):
            return
    raise AssertionError("the queue did not become empty")


def _all_quotes(lake: str) -> pl.DataFrame:
    store = open_store(LakeSettings(lake=lake))
    return raw_quotes(store, datetime.now(NEW_YORK).date())
