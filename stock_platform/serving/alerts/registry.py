"""Open the channels that alerts go to: ours, and those added by entry points.

An entry point of the group `stock_platform.alert_channels` names a function that takes
the `Settings` and returns an `AlertChannel`, or None when it is not configured. One that
cannot be opened is one line in the log and left out: the others still send.
"""

import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

import structlog

from stock_platform.serving.alerts.dispatch import AlertChannel
from stock_platform.settings import Settings

log = structlog.get_logger()

GROUP = "stock_platform.alert_channels"
_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def open_channels(
    settings: Settings, added: Iterable[EntryPoint] | None = None
) -> list[AlertChannel]:
    """Return every configured channel; none means that no alert is sent.

    `added` replaces the installed entry points. Raises `PermanentError` when one of our
    own channels is half configured.

    >>> open_channels(Settings.from_env())
    []
    """
    channels = _builtin(settings)
    entries = entry_points(group=GROUP) if added is None else added
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            channel = entry.load()(settings)
            if channel is not None:
                _require_sound(channel, {each.name for each in channels})
                channels.append(channel)
        except (Exception, SystemExit) as error:  # whatever a stranger's code raises
            log.error("alert_channel_left_out", channel=entry.name, reason=_reason(error))
    return channels


def _builtin(settings: Settings) -> list[AlertChannel]:
    alerts = settings.alerts
    if not (alerts.alert_mail_to or alerts.alert_sns_topic or alerts.alert_webhook):
        return []
    # boto3 and the mail clients take longer to import than everything else of a tick.
    from stock_platform.serving.alerts.channels import open_builtin

    return open_builtin(alerts, settings.serving, settings.mail)


def _require_sound(channel: AlertChannel, names: set[str]) -> None:
    if not callable(getattr(channel, "send", None)):
        raise TypeError("it has no method send(alert)")
    if not isinstance(channel.name, str) or not _NAME.fullmatch(channel.name):
        raise TypeError(f"its name must match {_NAME.pattern}")
    if channel.name in names:
        raise TypeError(f"another channel has the name {channel.name}")


def _reason(error: BaseException) -> str:
    # Only the first line, and ours or Python's: a client's text may quote an address.
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
