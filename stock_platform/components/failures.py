"""How an asset fails: what repeating cannot help is not retried at any of Dagster's levels."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from stock_platform.errors import PlatformError, TransientError

LATER = dg.RetryPolicy(max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL)
"""For steps that talk to a service: it may be restarting."""


@contextmanager
def no_retry_unless_transient() -> Generator[None]:
    """Let transient problems through to the retry policy; fail for good with any other."""
    try:
        yield
    except TransientError:
        raise
    except PlatformError as problem:
        raise dg.Failure(str(problem), allow_retries=False) from problem
