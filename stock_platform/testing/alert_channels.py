"""The contract of an alert channel, as tests that run against yours.

    from stock_platform.testing.alert_channels import AlertChannelContract

    class TestPager(AlertChannelContract):
        def open_channel(self):
            return Pager("http://127.0.0.1:8080")

        def open_unreachable(self):
            return Pager("http://127.0.0.1:1")

        def received(self):
            return len(server.requests)

pytest collects the class and reports each broken promise by name. The channels of the
platform run through the same suite.
"""

import re

from stock_platform.errors import PermanentError, TransientError
from stock_platform.serving.alerts.dispatch import Alert, AlertChannel, AlertKind, Severity

EXAMPLE = Alert(
    AlertKind.STALE_DATA,
    "lake/daily_bars",
    "lake/daily_bars is stale",
    "It ends at 2026-11-19; 2026-11-20 is expected.",
    "http://127.0.0.1:3000",
    Severity.WARNING,
)


class AlertChannelContract:
    """What the platform relies on; give the three methods in a subclass named Test..."""

    secret = ""
    """A part of the channel's configuration that must not be shown; empty: it has none."""

    def open_channel(self) -> AlertChannel:
        """Return a channel whose destination accepts alerts."""
        raise NotImplementedError

    def open_unreachable(self) -> AlertChannel:
        """Return a channel whose destination cannot be reached."""
        raise NotImplementedError

    def received(self) -> int:
        """Return how many alerts the destination of `open_channel` has received."""
        raise NotImplementedError

    def test_the_name_fits_a_record(self) -> None:
        """The name becomes a part of a path in the lake, so it has no other characters."""
        assert re.fullmatch(r"[a-z0-9_-]{1,40}", self.open_channel().name)

    def test_the_name_stays_the_same(self) -> None:
        """A channel that is opened again is the one that has sent an alert before."""
        assert self.open_channel().name == self.open_channel().name

    def test_each_call_delivers_once(self) -> None:
        """The platform decides what is repeated, not the channel."""
        channel = self.open_channel()
        before = self.received()
        channel.send(EXAMPLE)
        channel.send(EXAMPLE)
        assert self.received() == before + 2

    def test_every_kind_is_delivered(self) -> None:
        """A kind that is added later must not fail."""
        channel = self.open_channel()
        before = self.received()
        for kind in AlertKind:
            channel.send(Alert(kind, "key", "title", "text"))
        assert self.received() == before + len(AlertKind)

    def test_long_and_odd_texts_are_delivered(self) -> None:
        """Reasons come from other systems: long, with line breaks, in any alphabet."""
        channel = self.open_channel()
        before = self.received()
        channel.send(Alert(AlertKind.FAILED_RUN, "key", "line\r\nbreak é " * 40, "x" * 20_000))
        channel.send(Alert(AlertKind.FAILED_RUN, "key", "title", ""))
        assert self.received() == before + 2

    def test_a_failure_is_an_error_of_the_platform(self) -> None:
        """Only these two say whether another try makes sense; neither shows the secret."""
        failure: Exception | None = None
        try:
            self.open_unreachable().send(EXAMPLE)
        except (TransientError, PermanentError) as error:
            failure = error
        assert failure is not None, "an alert that cannot arrive was reported as delivered"
        assert not self.secret or self.secret not in repr(failure)

    def test_the_secret_is_not_shown(self) -> None:
        """Objects are printed in logs."""
        assert not self.secret or self.secret not in repr(self.open_channel())
