"""The dialogue on a Massive socket: authenticate first, then subscribe in batches. Pure.

Statuses are recognised by their text, not by close codes: the vendor closes
with 1000 after a wrong key, and sends `max_connections` only after it has
accepted key and subscriptions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

CLOSING = {
    "auth_failed": "the API key is not accepted",
    "auth_timeout": "the API key was not accepted in time",
    "max_connections": "the account has no connection left: another client uses this key",
    "force_disconnect": "the vendor ended the connection",
    "slow_consumer": "the vendor reports a slow consumer",
}
ALL_REFUSED = "all_refused"
"""Our own status: the key is good, but the plan includes none of the channels."""
TERMINAL = frozenset({"auth_failed", "max_connections", ALL_REFUSED})
"""Trying again soon cannot help: an alarm, and the longest wait."""


class Phase(Enum):
    """How far the handshake is."""

    OPENED = auto()
    SUBSCRIBING = auto()
    STREAMING = auto()


class _Status(msgspec.Struct):
    ev: str = ""
    status: str = ""
    message: str = ""


_STATUSES = msgspec.json.Decoder(list[_Status])


@dataclass(frozen=True, slots=True)
class Notice:
    """A status of the vendor that matters: `closing`, `terminal`, or only worth a log line."""

    status: str
    message: str

    @property
    def closing(self) -> bool:
        return self.status in CLOSING or self.terminal

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def explanation(self) -> str:
        return CLOSING.get(self.status, self.message)


@dataclass(kw_only=True)
class Handshake:
    """One connection's dialogue. `channels` are `AM`, `T`, ...; `symbols` None means all.

    `to_send` collects what must be sent; the caller empties it.
    """

    api_key: str
    channels: Sequence[str]
    symbols: Sequence[str] | None
    batch: int
    phase: Phase = Phase.OPENED
    confirmed: set[str] = field(default_factory=set)
    """Channels of which every subscription was confirmed."""
    refused: int = 0
    any_confirmed: bool = False
    """Whether any subscription was confirmed."""
    to_send: list[bytes] = field(default_factory=list)
    _waiting: dict[str, set[str]] = field(default_factory=dict)
    _answers: int = 0
    _subscriptions: int = 0

    def open(self) -> None:
        """Queue the first message: the key."""
        self.to_send.append(_message("auth", self.api_key))

    def receive(self, frame: bytes) -> list[Notice]:
        """Process a frame that may hold statuses, alone or among data; return the notable ones."""
        notices: list[Notice] = []
        for status in statuses(frame):
            notices += self._process(status)
        return notices

    def _process(self, status: _Status) -> Iterable[Notice]:
        if status.status == "auth_success":
            self._subscribe()
        elif status.status in {"success", "connected"}:
            self._confirm(status.message)
        elif status.status in CLOSING:
            return [Notice(status.status, status.message)]
        else:
            # `error`/`not authorized` names no channel: it is only counted.
            self.refused += 1
            self._count_answer()
            if self.phase is Phase.STREAMING and not self.any_confirmed:
                why = f"every subscription was refused: {status.message}"
                return [Notice(ALL_REFUSED, why)]
            return [Notice(status.status, status.message)]
        return []

    @property
    def unconfirmed(self) -> list[str]:
        """The channels of which some subscription was refused or never answered."""
        return [channel for channel in self.channels if channel not in self.confirmed]

    def accept_partial(self) -> bool:
        """Stop waiting for confirmations; False when nothing at all was subscribed.

        The vendor ignores a channel it does not have without any status.
        """
        if self.any_confirmed:
            self.phase = Phase.STREAMING
        return self.any_confirmed

    def _subscribe(self) -> None:
        names = [
            f"{channel}.{symbol}" for channel in self.channels for symbol in self.symbols or ("*",)
        ]
        for name in names:
            self._waiting.setdefault(name.partition(".")[0], set()).add(name)
        self._subscriptions = len(names)
        for at in range(0, len(names), self.batch):
            self.to_send.append(_message("subscribe", ",".join(names[at : at + self.batch])))
        self.phase = Phase.SUBSCRIBING

    def _confirm(self, message: str) -> None:
        name = message.rpartition(" ")[2]
        channel = name.partition(".")[0]
        waiting = self._waiting.get(channel)
        if waiting is None or name not in waiting:
            return
        waiting.discard(name)
        self.any_confirmed = True
        self._count_answer()
        if not waiting:
            self.confirmed.add(channel)

    def _count_answer(self) -> None:
        self._answers += 1
        if self._subscriptions and self._answers >= self._subscriptions:
            self.phase = Phase.STREAMING


def closing_status(frame: bytes) -> Notice | None:
    """Return the status in a connection's last frame that explains its end, if there is one.

    While data streams only the head of a frame is searched; one behind data is found here.
    """
    notices = [Notice(status.status, status.message) for status in statuses(frame)]
    return next((notice for notice in notices if notice.closing), None)


def statuses(frame: bytes) -> list[_Status]:
    """Return the status events of a frame; none when it is no JSON array of objects."""
    if b"status" not in frame:
        return []
    try:
        return [event for event in _STATUSES.decode(frame) if event.ev == "status"]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _message(action: str, params: str) -> bytes:
    return msgspec.json.encode({"action": action, "params": params})
