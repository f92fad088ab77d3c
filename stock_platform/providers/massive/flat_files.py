"""Massive's flat files: one CSV a session with all symbols, behind the S3 API.

A file appears about 11:00 New York on the next day and can be REPLACED later,
which only its ETag shows. Objects outside the plan are 403 although they
can be listed.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import obstore
import polars as pl
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store
from pydantic import SecretStr

from stock_platform.domain import bars
from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.massive.flat_file_rows import NAME, parse_day_aggs, parse_minute_aggs
from stock_platform.providers.sources import DailyResponse
from stock_platform.providers.transport.client import RetryPolicy, utc_now

MINUTE_AGGS = "minute_aggs_v1"
DAY_AGGS = "day_aggs_v1"
FILE_BYTES_MAX = 1024**3
"""A day of minute bars has 30 MB; this only stops a wrong object."""
SESSIONS_MAX = 260
"""A year of daily files for one symbol; for more, read the files of all symbols."""
FILE_TIMEOUTS = 10
"""A file may take this many times the timeout of one request."""

# S3 answers 403 for a wrong key as well as for an object outside the plan.
_WRONG_KEY = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed")


def to_key(dataset: str, session: date) -> str:
    """Name the object of one session."""
    return f"us_stocks_sip/{dataset}/{session:%Y/%m}/{session}.csv.gz"


def open_bucket(
    url: str,
    bucket: str,
    *,
    access_key: SecretStr,
    secret_key: SecretStr,
    retry: RetryPolicy | None = None,
) -> S3Store:
    """Open the bucket of the flat files; `url` is the S3 endpoint without the bucket."""
    retry = retry or RetryPolicy()
    return S3Store(
        bucket,
        endpoint=url,
        region="us-east-1",
        access_key_id=access_key.get_secret_value(),
        secret_access_key=secret_key.get_secret_value(),
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": url.startswith("http://"),
            "timeout": timedelta(seconds=retry.timeout_s * FILE_TIMEOUTS),
            "connect_timeout": timedelta(seconds=retry.timeout_s),
        },
        retry_config={
            "max_retries": retry.attempts_max - 1,
            "retry_timeout": timedelta(seconds=retry.timeout_s * FILE_TIMEOUTS),
            "backoff": {
                "init_backoff": timedelta(seconds=retry.backoff_s),
                "max_backoff": timedelta(seconds=retry.wait_max_s),
                "base": 2,
            },
        },
    )


class FlatFiles:
    """Whole sessions at once, at revision `final`."""

    name = NAME

    def __init__(
        self,
        bucket: S3Store,
        calendar: Calendar,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._bucket = bucket
        self._calendar = calendar
        self._clock = clock

    def fingerprint(self, session: date) -> str | None:
        """Return the minute file's ETag, None before it is published."""
        key = to_key(MINUTE_AGGS, session)
        try:
            return str(obstore.head(self._bucket, key)["e_tag"])
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            problem = _problem(error, key)
        raise problem

    def session_minute_bars(self, session: date, grid: MinuteGrid) -> ProviderResponse:
        """Return every symbol's minutes of `grid`; `TransientError` before publication."""
        asked_at = self._clock()
        data = self._get(to_key(MINUTE_AGGS, session))
        sifted = parse_minute_aggs(data, session=session, observed_at=asked_at, grid=grid)
        return ProviderResponse(
            provider=NAME,
            session=session,
            symbols=None,
            first=grid.opens_at,
            last=grid.closes_at - timedelta(minutes=1),
            asked_at=asked_at,
            revision=Revision.FINAL,
            bars=sifted.bars,
            rejected=sifted.rejected,
        )

    def daily_bars(self, session: date) -> DailyResponse:
        """Return every symbol's daily bar; `TransientError` before the file is published."""
        asked_at = self._clock()
        data = self._get(to_key(DAY_AGGS, session))
        sifted = parse_day_aggs(data, session=session, observed_at=asked_at)
        return DailyResponse(
            provider=NAME,
            first=session,
            last=session,
            symbols=None,
            asked_at=asked_at,
            revision=Revision.FINAL,
            bars=sifted.bars,
            rejected=sifted.rejected,
        )

    def daily_bars_of(self, symbol: str, first: date, last: date) -> DailyResponse:
        """Return one symbol's daily bars from one file a session; all must be published."""
        asked_at = self._clock()
        sessions = self._calendar.sessions(first, last)
        if len(sessions) > SESSIONS_MAX:
            raise PermanentError(
                f"{NAME}: at most {SESSIONS_MAX} sessions at once, not {len(sessions)}"
            )
        responses = [self.daily_bars(session) for session in sessions]
        own = pl.col("symbol") == symbol
        return DailyResponse(
            provider=NAME,
            first=first,
            last=last,
            symbols=(symbol,),
            asked_at=asked_at,
            revision=Revision.FINAL,
            bars=pl.concat(
                [
                    pl.DataFrame(schema=bars.DAILY_BARS),
                    *(each.bars.filter(own) for each in responses),
                ]
            ),
            rejected=pl.concat(
                [
                    pl.DataFrame(schema=REJECTED),
                    *(each.rejected.filter(own) for each in responses),
                ]
            ),
        )

    def _get(self, key: str) -> bytes:
        try:
            found = obstore.get(self._bucket, key)
            size = found.meta["size"]
            data = bytes(found.bytes()) if size <= FILE_BYTES_MAX else None
        except FileNotFoundError:
            problem: PlatformError = TransientError(f"{NAME} {key}: not published yet")
        except (BaseError, OSError) as error:
            problem = _problem(error, key)
        else:
            if data is None:
                raise InvalidDataError(f"{NAME} {key}: expected at most {FILE_BYTES_MAX} bytes")
            if len(data) != size:
                raise TransientError(f"{NAME} {key}: {len(data)} of {size} bytes arrived")
            return data
        # Outside of the handler: the store's message holds the endpoint and its answer.
        raise problem


def _problem(error: Exception, key: str) -> PlatformError:
    what = f"{NAME} {key}: {type(error).__name__}"
    if isinstance(error, UnauthenticatedError) or any(word in str(error) for word in _WRONG_KEY):
        return PermanentError(f"{what}: the access key is wrong")
    if isinstance(error, PermissionDeniedError):
        return NotEntitledError(f"{what}: the plan does not cover this object")
    return TransientError(what)
