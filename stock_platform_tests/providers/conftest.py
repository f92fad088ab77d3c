"""A vendor on loopback that says what a test wants, and clients that hardly wait for it."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from stock_platform.errors import TransientError
from stock_platform.providers.transport.client import Endpoint, HttpClient, RetryPolicy
from stock_platform.testing.loopback import Vendor, open_vendor

CANARY = "canary-Key_0123456789abcdef"
NOON = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)


class Purse:
    """A budget that counts, and keeps the holds it is given."""

    def __init__(self) -> None:
        self.spent = 0
        self.held: list[float] = []

    def acquire(self) -> None:
        if self.held:
            raise TransientError("held", delay_s=self.held[-1])
        self.spent += 1

    def pause(self, delay_s: float) -> None:
        self.held.append(delay_s)


@pytest.fixture
def vendor() -> Generator[Vendor]:
    with open_vendor() as opened:
        yield opened


@pytest.fixture
def purse() -> Purse:
    return Purse()


@pytest.fixture
def connect(vendor: Vendor, purse: Purse) -> Generator[Callable[..., HttpClient]]:
    """Make an `Http` to the vendor that hardly waits between its three tries."""
    with ExitStack() as stack:

        def opened(
            *,
            provider: str = "massive",
            header: str = "Authorization",
            complaint: Callable[..., str | None] = lambda _: None,
            retry: RetryPolicy | None = None,
            **kwargs: object,
        ) -> HttpClient:
            retry = retry or RetryPolicy(
                timeout_s=2.0, attempts_max=3, backoff_s=0.001, wait_max_s=0.05
            )
            key = SecretStr(CANARY)
            endpoint = Endpoint(
                provider=provider, url=vendor.url, keys={header: key}, error_text=complaint
            )
            http = HttpClient(endpoint, purse, retry=retry, clock=lambda: NOON, **kwargs)  # type: ignore[arg-type]
            return stack.enter_context(http)

        yield opened
