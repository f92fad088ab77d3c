"""One client on Massive's socket: handshake, subscriptions, and every way it can be cut off."""

import asyncio
import re
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from stock_platform.simulator.scenario import Scenario
from stock_platform.simulator.vendors.massive.channels import CHANNELS, EVERY_SYMBOL

CONNECTED = ("connected", "Connected Successfully")
TOO_MANY = (
    "max_connections",
    "Maximum number of websocket connections exceeded. "
    "You have reached the connection limit for your account. Please contact support.",
)
SLOW = ("slow_consumer", "Disconnecting: the client reads too slowly")
_FULL = (
    "error",
    "Subscription limit reached for feed. Please remove some subscriptions and try again.",
)
_CHANNEL = re.compile(r"([A-Z]+)\.(.+)", re.DOTALL)
_BUFFER_HIGH = 1 << 20
_STATUS_EVERY = 5
_NOT_UTF8 = b'[{"ev":"XX","sym":"\xff\xfe"}]'
_UNKNOWN = '{"ev":"XX","sym":"?","payload":{"new":true}}'
_STATUS = '{"ev":"status","status":"success","message":"still here"}'


class Feed(Protocol):
    """What a session needs of the feed that it reads."""

    scenario: Scenario
    readers: "list[ClientSession]"
    changed: asyncio.Event
    is_down: bool
    events_sent: int

    def admit(self, newcomer: "ClientSession") -> None: ...

    def is_dropped(self) -> bool: ...

    def strike_once(self, reader: "ClientSession") -> None: ...


class ClientSession(WSListener):
    """A connection to one host of the feed. Lives in the simulator's event loop."""

    def __init__(self, feed: Feed, *, delayed: bool) -> None:
        self.feed = feed
        self.delayed = delayed
        self.key = ""
        self.subscribed: dict[str, set[str]] = {}
        self.frames_sent = 0
        self.silenced = False
        self.leaving = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answered = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_subscribed(self) -> bool:
        return any(self.subscribed.values()) and not self.leaving

    @property
    def unsent_bytes(self) -> int:
        return self.transport.underlying_transport.get_write_buffer_size()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        if self.feed.is_down:
            self.cut("reset")
            return
        transport.underlying_transport.set_write_buffer_limits(high=_BUFFER_HIGH)
        self.feed.readers.append(self)
        self._say([CONNECTED])
        wait_s = self.feed.scenario.feed.auth_timeout_s
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._no_auth)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        if frame.msg_type == WSMsgType.PONG:
            self._answered.set()
        if frame.msg_type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return
        try:
            message: Any = msgspec.json.decode(frame.get_payload_as_bytes())
        except msgspec.DecodeError:
            return
        if not isinstance(message, dict):
            return
        action, params = message.get("action"), str(message.get("params", ""))
        if action == "auth":
            self._authenticate(params)
        elif not self.key:
            self._say([("error", "not authorized")])
        elif action == "subscribe":
            self._subscribe(params)
        elif action == "unsubscribe":
            self._unsubscribe(params)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.leaving = True
        self._flowing.set()
        self._answered.set()
        if self._timer:
            self._timer.cancel()
        if self in self.feed.readers:
            self.feed.readers.remove(self)
        self.feed.changed.set()

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    async def drained(self, patience_s: float) -> None:
        """Wait until the client has taken most of what was sent; cut it off when it does not."""
        if self._flowing.is_set():
            return
        try:
            async with asyncio.timeout(patience_s):
                await self._flowing.wait()
        except TimeoutError:
            self.dismiss(SLOW, WSCloseCode.POLICY_VIOLATION)

    async def caught_up(self, patience_s: float) -> None:
        """Wait until the client has read all that was sent: it answers a ping in turn.

        Without this a reset would also take what still lies in the buffers between us.
        """
        if self.leaving:
            return
        self._answered.clear()
        self.transport.send_ping(b"caught up?")
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._answered.wait()

    def send(self, events: Sequence[str], per_frame: int) -> None:
        """Send events, `per_frame` to an array, with what the script mixes in."""
        if self.silenced or self.leaving:
            return
        scenario = self.feed.scenario.feed
        for start in range(0, len(events), per_frame):
            self.frames_sent += 1
            if scenario.frames_dropped and self.feed.is_dropped():
                continue
            chunk = self._mixed(events[start : start + per_frame])
            self._deliver(f"[{','.join(chunk)}]".encode())
            self.feed.events_sent += len(chunk)
            if scenario.close_after_frames and self.frames_sent >= scenario.close_after_frames:
                self.feed.strike_once(self)
                if self.silenced or self.leaving:
                    return
        if self.unsent_bytes > scenario.slow_reader_bytes:
            self.dismiss(SLOW, WSCloseCode.POLICY_VIOLATION)

    def _mixed(self, events: Sequence[str]) -> Sequence[str]:
        """Add to a frame's events what the script wants among them."""
        scenario = self.feed.scenario.feed
        before: list[str] = []
        after: list[str] = []
        if scenario.status_with_data and self.frames_sent % _STATUS_EVERY == 0:
            before.append(_STATUS)
        if scenario.unknown_events:
            after.append(_UNKNOWN)
        if scenario.oversized_every and self.frames_sent % scenario.oversized_every == 0:
            after.append(f'{{"ev":"XX","padding":"{"x" * scenario.oversized_bytes}"}}')
        return [*before, *events, *after] if before or after else events

    def _deliver(self, frame: bytes) -> None:
        scenario = self.feed.scenario.feed
        if scenario.fragments <= 1:
            self.transport.send(WSMsgType.TEXT, frame)
        else:
            size = max(1, -(-len(frame) // scenario.fragments))
            for at in range(0, len(frame), size):
                kind = WSMsgType.CONTINUATION if at else WSMsgType.TEXT
                self.transport.send(kind, frame[at : at + size], fin=at + size >= len(frame))
        if scenario.invalid_utf8_every and self.frames_sent % scenario.invalid_utf8_every == 0:
            self.transport.send(WSMsgType.TEXT, _NOT_UTF8)

    def dismiss(self, status: tuple[str, str], code: WSCloseCode) -> None:
        """Return why, close with a code, and hang up."""
        self._say([status])
        self._close(code)

    def cut(self, kind: str) -> None:
        """End the connection as the script names it; silent keeps it open and mute."""
        match kind:
            case "silent":
                self.silenced = True
            case "close_1000":
                self._close(WSCloseCode.OK)
            case "close_1001":
                self._close(WSCloseCode.GOING_AWAY)
            case "closed_1011":
                self._close(WSCloseCode.INTERNAL_ERROR)
            case _:
                self.leaving = True
                under = self.transport.underlying_transport
                raw = under.get_extra_info("socket")
                # Without lingering the kernel answers with RST, as a dying host's does.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                under.abort()

    def _close(self, code: WSCloseCode) -> None:
        if not self.leaving:
            self.leaving = True
            self.transport.send_close(code)
            self.transport.disconnect()

    def _authenticate(self, key: str) -> None:
        if self._timer:
            self._timer.cancel()
        if key not in self.feed.scenario.keys.massive:
            self.dismiss(("auth_failed", "authentication failed"), WSCloseCode.OK)
            return
        self.key = key
        self._say([("auth_success", "authenticated")])

    def _no_auth(self) -> None:
        self.dismiss(("auth_timeout", "No authentication request received."), WSCloseCode.OK)

    def _subscribe(self, params: str) -> None:
        wanted = [_parse(text) for text in params.split(",") if text.strip()]
        known = [(channel, name) for channel, name in wanted if channel in CHANNELS]
        plan = self.feed.scenario.plan
        held = sum(map(len, self.subscribed.values()))
        if plan.subscriptions_max and held + len(known) > plan.subscriptions_max:
            self._say([_FULL] * len(known))
            return
        answers: list[tuple[str, str]] = []
        for channel, name in known:
            if channel in plan.refused_channels:
                answers.append(("error", "not authorized"))
                continue
            self.subscribed.setdefault(channel, set()).add(name)
            answers.append(("success", f"subscribed to: {channel}.{name}"))
        self._say(answers)
        self.feed.admit(self)

    def _unsubscribe(self, params: str) -> None:
        answers: list[tuple[str, str]] = []
        for channel, name in (_parse(text) for text in params.split(",")):
            names = self.subscribed.get(channel, set())
            names -= set(names) if name == EVERY_SYMBOL else {name}
            answers.append(("success", f"unsubscribed to: {channel}.{name}"))
        self._say(answers)

    def _say(self, statuses: Sequence[tuple[str, str]]) -> None:
        """Send status objects, in one array or in one frame each."""
        if self.leaving or not statuses:
            return
        rows = [{"ev": "status", "status": name, "message": text} for name, text in statuses]
        together = self.feed.scenario.feed.batch_statuses
        for part in [rows] if together else [[row] for row in rows]:
            self.transport.send(WSMsgType.TEXT, msgspec.json.encode(part))


def _parse(text: str) -> tuple[str, str]:
    found = _CHANNEL.fullmatch(text.strip())
    return (found[1], found[2]) if found else ("", text)
