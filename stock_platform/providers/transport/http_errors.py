"""What an HTTP answer means: usable, or exactly one of the four problems.

The table, decided once:

| answer | problem |
|---|---|
| 429, 408, 425, 499, any 5xx (whatever its body) | Transient, after `Retry-After` when given |
| 429 about a monthly or daily quota | Transient, after the quota's reset (an hour if unnamed) |
| 401 | Permanent: the key is wrong |
| 402, 403, 451 | Refused: the plan does not cover it |
| 403 "before end of day" | Transient: the same plan gives it tomorrow |
| any other status but 200 | Permanent |
| 200 with HTML | Transient: a gateway speaks, not the provider |
| 200 with anything else that is no JSON | Malformed |
| 200 with an error object | by its text: Transient, Refused or Malformed |
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
_SAID_MAX = 200

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
    """One HTTP answer, read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_html(self) -> bool:
        return self.body.lstrip()[:1] == b"<"


@dataclass(frozen=True, slots=True)
class Redaction:
    """Removes secrets from text that others will read."""

    secrets: tuple[str, ...]

    @classmethod
    def of(cls, secrets: Iterable[SecretStr | str]) -> "Redaction":
        """Hide the whole of each secret, and the key alone of `Bearer KEY`; plain text is none."""
        values = {secret.get_secret_value() for secret in secrets if isinstance(secret, SecretStr)}
        values |= {value.removeprefix("Bearer ") for value in values}
        return cls(tuple(sorted(filter(None, values), key=len, reverse=True)))

    def __repr__(self) -> str:
        return f"Redaction({len(self.secrets)} secrets)"

    def clean(self, said: str) -> str:
        """Give `said` on one line, bounded, without any secret."""
        for secret in self.secrets:
            said = said.replace(secret, "***")
        printable = "".join(c if c.isprintable() else " " for c in said)
        return " ".join(printable.split())[:_SAID_MAX]


def error_of_status(reply: HttpResponse, said: str, *, now: datetime) -> PlatformError | None:
    """Return the problem of an answer by status and form; None means: read its body as JSON."""
    if reply.status == 200:
        if reply.is_html:
            return TransientError("HTTP 200 with a page of HTML where JSON was expected")
        return None
    message = f"HTTP {reply.status}: {said or 'without a message'}"
    if reply.status in _TRANSIENT or reply.status >= 500:
        return TransientError(message, delay_s=_delay(reply, said, now=now))
    if reply.status in _REFUSED:
        if _TOMORROW.search(said):
            return TransientError(message, delay_s=END_OF_DAY_DELAY_S)
        return NotEntitledError(message)
    return PermanentError(message)


def error_of_text(said: str) -> PlatformError:
    """Return the problem of an error object that came with status 200."""
    message = f"HTTP 200 with an error: {said}"
    if _ENTITLEMENT.search(said) and not _QUOTA.search(said):
        return NotEntitledError(message)
    if _LIMIT.search(said):
        return TransientError(message, delay_s=QUOTA_DELAY_S if _QUOTA.search(said) else None)
    return InvalidDataError(message)


def _delay(reply: HttpResponse, said: str, *, now: datetime) -> float | None:
    named = _retry_after(reply.headers.get("retry-after", ""), now=now)
    if reply.status == 429 and named is None and _QUOTA.search(said):
        # Waiting a minute does not help: it is used up until the reset.
        named = _seconds(reply.headers.get("x-ratelimit-requests-reset", "")) or QUOTA_DELAY_S
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
