"""Turn the platform's errors into Dagster's: what repeating cannot help is never retried."""

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from stock_platform.errors import PlatformError, TransientError

P = ParamSpec("P")
R = TypeVar("R")

RETRY_A_SERVICE = dg.RetryPolicy(max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL)
"""For steps that call a service: it may be restarting."""


def no_retry_unless_transient(body: Callable[P, R]) -> Callable[P, R]:
    """Decorate the body of an asset, op or check so that its errors are Dagster's.

    A `TransientError` stays as it is: the retry policy of the step decides. Any other
    `PlatformError` becomes a `dagster.Failure` that no policy retries. Goes below
    Dagster's own decorator:

        @dg.asset
        @no_retry_unless_transient
        def my_bars(lake: LakeResource) -> None: ...
    """

    @wraps(body)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _as_failures():
            return body(*args, **kwargs)

    @wraps(body)
    def events(*args: P.args, **kwargs: P.kwargs) -> Generator[Any]:
        with _as_failures():
            yield from cast(Generator[Any], body(*args, **kwargs))

    return cast(Callable[P, R], events) if inspect.isgeneratorfunction(body) else call


@contextmanager
def _as_failures() -> Generator[None]:
    try:
        yield
    except TransientError:
        raise
    except PlatformError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
