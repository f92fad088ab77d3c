"""Clients of the AWS services we feed, and their errors as errors of the platform."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import stamina
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.settings import ServingSettings

ATTEMPTS_MAX = 8
"""Rounds for what a batch call left undone; waits double from 50 ms, so about 6 s in all."""

_BUSY = frozenset(
    {
        "InternalServerError",
        "KMSThrottlingException",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
Item = TypeVar("Item")


def open_client(settings: ServingSettings, service: str) -> Any:
    """Open a boto3 client with the keys of `settings`, or with those of the AWS chain."""
    key = settings.aws_access_key.get_secret_value()
    return Session().client(
        service,
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint or None,
        aws_access_key_id=key or None,
        aws_secret_access_key=settings.aws_secret_key.get_secret_value() or None,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=5,
            read_timeout=30,
        ),
    )


@contextmanager
def translated(what: str) -> Generator[None]:
    """Turn the library's errors into ours, saying `what` was tried and never with which key."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _error_of(what, error) from None


def until_done(
    what: str,
    items: Sequence[Item],
    call: Callable[[list[Item]], Sequence[Item]],
    *,
    chunk: int,
) -> None:
    """Call with `chunk` items at a time until none is left; `call` returns those not accepted.

    What was accepted is not sent again. Raises `TransientError` when something is still
    left after `ATTEMPTS_MAX` rounds.
    """
    waiting, again = list(items), list[Item]()
    rounds = stamina.retry_context(
        on=TransientError, attempts=ATTEMPTS_MAX, wait_initial=0.05, wait_max=3.0, wait_jitter=0.05
    )
    for attempt in rounds:
        with attempt:
            waiting, again = waiting + again, list[Item]()
            while waiting:
                again.extend(call(waiting[:chunk]))
                del waiting[:chunk]
            if again:
                raise TransientError(f"{what}: {len(again)} of {len(items)} were not accepted")


def _error_of(what: str, error: Exception) -> PlatformError:
    if isinstance(error, NoCredentialsError):
        return PermanentError(f"{what}: no AWS credentials were found")
    if not isinstance(error, ClientError):
        # Could not connect, timed out, connection broke: the message would hold the address.
        return TransientError(f"{what}: {type(error).__name__}")
    code = error.response.get("Error", {}).get("Code", "unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = f"{what}: {code} (HTTP {status})"
    return TransientError(message) if code in _BUSY or status >= 500 else PermanentError(message)
