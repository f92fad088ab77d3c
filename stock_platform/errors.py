"""The four ways the outside world can fail us, decided once at the edge.

Every provider error becomes exactly one of these; whoever catches one can
act without looking at a status code again. Messages never hold a URL
query, a header or a whole payload.
"""


class PlatformError(Exception):
    """Any failure of the outside world; see the four kinds below."""


class TransientError(PlatformError):
    """Worth another request, after `delay_s` when the other side named a delay."""

    def __init__(self, message: str, *, delay_s: float | None = None) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class PermanentError(PlatformError):
    """Repeating the request cannot help: wrong key, wrong request, a bug of ours."""


class InvalidDataError(PlatformError):
    """The data is wrong: keep it, quarantine it, go on."""


class NotEntitledError(PlatformError):
    """The provider will not give this (plan, entitlement): alarm, never "empty"."""
