"""The SQS queue of quote requests: receive, delete, release, dead-letter.

A message is `{"symbol": "GOOG"}`. SQS delivers at least once, so every step
here may happen twice; none of them loses a message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from stock_platform.domain.symbols import Symbol, parse_symbol
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.serving.aws import open_client, translated, until_done
from stock_platform.settings import QueueSettings, ServingSettings

BATCH = 10
"""The bound of every SQS batch call."""
RECEIVES_AFTER_MAX = 100
"""SQS itself dead-letters a message this far beyond our own bound: one that kills its consumer."""
DELAY_S_MAX = 43_200
REASON_LENGTH_MAX = 500


class _Body(msgspec.Struct):
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A received message; it becomes visible again after the visibility timeout unless deleted."""

    id: str
    receipt: str
    body: str
    sent_at: datetime
    receives: int

    @property
    def minute(self) -> datetime:
        """The minute it was sent in, and of its quote; the same at every delivery."""
        return self.sent_at.replace(second=0, microsecond=0)

    def symbol(self) -> Symbol:
        """Return the symbol in the body; raise `InvalidDataError` naming what is wrong with it."""
        try:
            return parse_symbol(msgspec.json.decode(self.body, type=_Body).symbol)
        except msgspec.DecodeError as error:
            raise InvalidDataError(f'expected {{"symbol": ...}}: {error}') from None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteQueue:
    """The queue and its dead letters; safe to share between threads and processes."""

    client: Any
    url: str
    dead_url: str
    visibility_s: int = 120
    receives_max: int = 5

    @classmethod
    def open(cls, queues: QueueSettings, aws: ServingSettings) -> "QuoteQueue":
        """Find both queues by name or URL; raise `PermanentError` when one does not exist."""
        client = open_client(aws, "sqs")
        return cls(
            client=client,
            url=_url(client, queues.quote_queue),
            dead_url=_url(client, queues.quote_dead_letters),
            visibility_s=queues.quote_visibility_s,
            receives_max=queues.quote_receives_max,
        )

    def receive(self, wait_s: int = 1) -> list[Message]:
        """Receive up to ten messages, waiting for the first; none means the queue is empty now.

        Without any wait SQS queries only some of its servers and may miss messages.
        """
        with translated("SQS: receive quote requests"):
            response = self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=self.visibility_s,
                WaitTimeSeconds=wait_s,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        return [_message(raw) for raw in response.get("Messages", [])]

    def waiting(self) -> int:
        """Return about how many requests are visible in the queue."""
        with translated("SQS: read the attributes of the queue"):
            attributes = self.client.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages; return how many could not be (they are delivered again, harmlessly)."""
        return self._batch("delete_message_batch", messages)

    def release(self, messages: Sequence[Message], delay_s: float = 0.0) -> None:
        """Make the messages visible to other consumers after `delay_s`."""
        self.change_visibility(messages, min(round(delay_s), DELAY_S_MAX))

    def change_visibility(self, messages: Sequence[Message], seconds: int) -> None:
        """Hide the messages from other consumers for `seconds` from now."""
        self._batch("change_message_visibility_batch", messages, VisibilityTimeout=seconds)

    def dead_letter(self, message: Message, reason: str) -> None:
        """Move a message to the dead-letter queue, with `reason` and its id as attributes.

        It is sent there before it is deleted here: a crash in between doubles it and
        never loses it.
        """
        with translated("SQS: dead-letter a quote request"):
            self.client.send_message(
                QueueUrl=self.dead_url,
                MessageBody=message.body,
                MessageAttributes={
                    "reason": _text(_printable(reason)),
                    "origin": _text(message.id),
                    "sent_at": _text(message.sent_at.isoformat()),
                },
            )
        self.delete([message])

    def enqueue(self, symbols: Sequence[str]) -> int:
        """Send one request for each different symbol; return how many were sent.

        Only what SQS did not accept is sent again; raises `TransientError` when some are
        left, and `InvalidDataError` for an invalid symbol, before anything is sent.
        """
        bodies = [
            msgspec.json.encode({"symbol": parse_symbol(symbol)}).decode()
            for symbol in dict.fromkeys(symbols)
        ]
        until_done("SQS: enqueue quote requests", bodies, self._send, chunk=BATCH)
        return len(bodies)

    def _send(self, bodies: list[str]) -> list[str]:
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        with translated("SQS: enqueue quote requests"):
            response = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
        failed = response.get("Failed", [])
        if ours := [each["Code"] for each in failed if each.get("SenderFault")]:
            raise PermanentError(f"SQS: enqueue quote requests: {ours[0]}")
        return [bodies[int(each["Id"])] for each in failed]

    def _batch(self, call: str, messages: Sequence[Message], **values: int) -> int:
        """Make a batch call over any number of messages; return for how many it failed."""
        failed = 0
        for start in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(n), "ReceiptHandle": message.receipt} | values
                for n, message in enumerate(messages[start : start + BATCH])
            ]
            with translated(f"SQS: {call.replace('_', ' ')}"):
                response = getattr(self.client, call)(QueueUrl=self.url, Entries=entries)
            failed += len(response.get("Failed", []))
        return failed


def create_queues(queues: QueueSettings, aws: ServingSettings) -> None:
    """Create both queues where they are missing ; safe to repeat."""
    client = open_client(aws, "sqs")
    with translated("SQS: create the queues"):
        dead = client.create_queue(QueueName=queues.quote_dead_letters)["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        redrive = {
            "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
            "maxReceiveCount": queues.quote_receives_max + RECEIVES_AFTER_MAX,
        }
        client.create_queue(
            QueueName=queues.quote_queue,
            Attributes={"RedrivePolicy": msgspec.json.encode(redrive).decode()},
        )


def _url(client: Any, queue: str) -> str:
    if queue.startswith(("https://", "http://")):
        return queue
    with translated(f"SQS: find the queue {queue}"):
        return client.get_queue_url(QueueName=queue)["QueueUrl"]


def _message(raw: dict[str, Any]) -> Message:
    attributes = raw.get("Attributes", {})
    return Message(
        id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        body=raw["Body"],
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
    )


def _text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def _printable(reason: str) -> str:
    # SQS refuses a message whose attribute holds control characters or is empty.
    plain = reason[:REASON_LENGTH_MAX].encode("ascii", "backslashreplace").decode()
    return "".join(c if c.isprintable() else "?" for c in plain) or "no reason was given"
