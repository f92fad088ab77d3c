"""Polling: when every provider fails, the run is tried again if any failure may pass."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pytest

from stock_platform.errors import PermanentError, PlatformError, TransientError
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.quotes import poll_quotes
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import QuoteResponse
from stock_platform_tests.pipelines.conftest import SESSIONS


@dataclass(frozen=True)
class Failing:
    """A source of quotes that raises its error."""

    name: str
    error: PlatformError

    def quotes(self, symbols: Sequence[str], minute: datetime) -> QuoteResponse:
        raise self.error


def poll(context: LakeContext, *errors: PlatformError) -> None:
    @contextmanager
    def providers() -> Generator[Providers]:
        yield Providers(quotes=[Failing(f"p{n}", error) for n, error in enumerate(errors)])

    grid = context.calendar.grid(SESSIONS[0])
    poll_quotes(context, providers, grid, range(1), now=grid.minute(0), log=lambda line: None)


def test_polling_is_tried_again_when_every_provider_is_busy(context: LakeContext) -> None:
    busy = TransientError("HTTP 503", delay_s=3.0)

    with pytest.raises(TransientError, match="p0: HTTP 503; p1: HTTP 503") as raised:
        poll(context, busy, busy)

    assert raised.value.delay_s == 3.0


def test_one_failure_that_may_pass_is_enough_to_try_again(context: LakeContext) -> None:
    with pytest.raises(TransientError):
        poll(context, PermanentError("wrong key"), TransientError("HTTP 503"))


def test_polling_is_given_up_when_no_failure_can_pass(context: LakeContext) -> None:
    with pytest.raises(PermanentError, match="wrong key"):
        poll(context, PermanentError("wrong key"), PermanentError("wrong key"))
