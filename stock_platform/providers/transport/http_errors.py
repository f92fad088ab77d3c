"""What an HTTP response means: usable, or exactly one of the four errors.

The table, decided once:

| response | error |
|---|---|
| 429, 408, 425, 499, any 5xx (whatever its body) | TransientError, after `Retry-After` when given |
| 429 about a monthly or daily quota | TransientError, after its reset (an hour if unnamed) |
| 401 | PermanentError: the key is wrong |
| 402, 403, 451 | NotEntitledError: the plan does not cover it |
| 403 "before end of day" | TransientError: the same plan has it tomorrow |
| any other status but 200 | PermanentError |
| 200 with HTML | TransientError: from a gateway, not from the provider |
| 200 with anything else that is no JSON | InvalidDataError |
| 200 with an error object | by its text: TransientError, NotEntitledError or InvalidDataError |
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import SecretStr

from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)

DELAY_MAX_S = 31 * 24 * 3600.0
"""A monthly quota resets within this; a longer delay is a mistake of the other side."""
QUOTA_DELAY_S = 3600.0
END_OF_DAY_DELAY_S = 3600.0
_TEXT_MAX = 200

_TRANSIENT = frozenset({408, 425, 429, 499})
_REFUSED = frozenset({402, 403, 451})
_QUOTA = re.compile(r"\b(quota|monthly|daily)\b", re.IGNORECASE)
_LIMIT = re.compile(
    r"rate.?limit|too many requests|limit reached|exceeded the maximum|quota|try again", re.I
)
_ENTITLEMENT = re.compile(
    r"not entitled|not.?authorized|not subscribed|upgrade your plan|don't have access|plan doesn't",
    re.IGNORECASE,
)
_TOMORROW = re.compile(r"before end of day", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One HTTP response, read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_html(self) -> bool:
        return self.body.lstrip()[:1] == b"<"


@dataclass(frozen=True, slots=True)
class Redaction:
    """Removes secrets from text that is logged or raised."""

    secrets: tuple[str, ...]

    @classmethod
    def of(cls, secrets: Iterable[SecretStr | str]) -> "Redaction":
        """Hide the whole of each secret, and the key alone of `Bearer KEY`; plain text is none."""
        values = {secret.get_secret_value() for secret in secrets if isinstance(secret, SecretStr)}
        values |= {value.removeprefix("Bearer ") for value in values}
        return cls(tuple(sorted(filter(None, values), key=len, reverse=True)))

    def __repr__(self) -> str:
        return f"Redaction({len(self.secrets)} secrets)"

    def clean(self, text: str) -> str:
        """Return `text` on one line, bounded, without any secret."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        printable = "".join(c if c.isprintable() else " " for c in text)
        return " ".join(printable.split())[:_TEXT_MAX]


def error_of_status(response: HttpResponse, text: str, *, now: datetime) -> PlatformError | None:
    """Return the error of a response by status and form; None means: read its body as JSON."""
    if response.status == 200:
        if response.is_html:
            return TransientError("HTTP 200 with a page of HTML where JSON was expected")
        return None
    message = f"HTTP {response.status}: {text or 'without a message'}"
    if response.status in _TRANSIENT or response.status >= 500:
        return TransientError(message, delay_s=_delay(response, text, now=now))
    if response.status in _REFUSED:
        if _TOMORROW.search(text):
            return TransientError(message, delay_s=END_OF_DAY_DELAY_S)
        return NotEntitledError(message)
    return PermanentError(message)


def error_of_text(text: str) -> PlatformError:
    """Return the error of an error object that came with status 200."""
    message = f"HTTP 200 with an error: {text}"
    if _ENTITLEMENT.search(text) and not _QUOTA.search(text):
        return NotEntitledError(message)
    if _LIMIT.search(text):
        return TransientError(message, delay_s=QUOTA_DELAY_S if _QUOTA.search(text) else None)
    return InvalidDataError(message)


def _delay(response: HttpResponse, text: str, *, now: datetime) -> float | None:
    named = _retry_after(response.headers.get("retry-after", ""), now=now)
    if response.status == 429 and named is None and _QUOTA.search(text):
        # Waiting a minute does not help: it is used up until the reset.
        named = _seconds(response.headers.get("x-ratelimit-requests-reset", "")) or QUOTA_DELAY_S
    return named


def _retry_after(header: str, *, now: datetime) -> float | None:
    if not header:
        return None
    seconds = _seconds(header)
    if seconds is not None:
        return seconds
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(0.0, (aware - now).total_seconds()), DELAY_MAX_S)


def _seconds(header: str) -> float | None:
    return (
        min(float(header), DELAY_MAX_S)
        if re.fullmatch(r"\d{1,9}(\.\d+)?", header.strip())
        else None
    )
