"""A WebSocket as the reader needs it: whole messages in, text out, and why it ended.

picows receives frames four times faster than any other library; `websockets` is
the fallback behind the same protocol.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

import picows
import websockets
import websockets.asyncio.client

from stock_platform.errors import TransientError

CONNECT_TIMEOUT_S = 15.0
READ_BUFFER_BYTES = 65_536
TEXT = picows.WSMsgType.TEXT
_SILENT_LOGGER = logging.getLogger("stock_platform.stream.feed.websocket")
_SILENT_LOGGER.addHandler(logging.NullHandler())
_SILENT_LOGGER.propagate = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The close code and reason of a connection (1006: it ended without a close frame)."""

    code: int
    reason: str


class Socket(Protocol):
    """One open connection."""

    ended: asyncio.Future[Ended]

    def send(self, text: bytes) -> None: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


class FrameHandler(Protocol):
    """The receiver of a socket's messages.

    A socket appends them to `frames` and calls `wake` for the first of them. A list and
    not a callback per message: at one event a message the call is the largest part of the cost.
    """

    frames: list[bytes]

    def wake(self) -> None: ...

    def alive(self) -> None: ...


def _deliver(handler: FrameHandler, frame: bytes) -> None:
    if not handler.frames:
        handler.wake()
    handler.frames.append(frame)


class _PicowsSocket(picows.WSListener):
    def __init__(self, handler: FrameHandler, bytes_max: int) -> None:
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._handler = handler
        self._frames = handler.frames
        self._wake = handler.wake
        self._bytes_max = bytes_max
        self.ending: asyncio.Task[None] | None = None
        self._fragments: list[bytes] = []
        self._size = 0
        self._code, self._reason = 1006, ""

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        kind = frame.msg_type
        if kind is TEXT and frame.fin:
            # picows raises for a large frame and then still delivers it before it hangs up.
            if frame.payload_size <= self._bytes_max:
                frames = self._frames
                if not frames:
                    self._wake()
                frames.append(frame.get_payload_as_bytes())
        elif kind == picows.WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            self._code = int.from_bytes(payload[:2]) if len(payload) > 1 else 1005
            self._reason = payload[2:].decode(errors="replace")
            transport.disconnect()
        elif kind in {picows.WSMsgType.PING, picows.WSMsgType.PONG}:
            self._handler.alive()
        else:
            self._collect(frame)

    def _collect(self, frame: picows.WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        self._size += len(payload)
        if self._size > self._bytes_max:
            self._reason = f"a message larger than {self._bytes_max} bytes"
            self._transport.disconnect()
            return
        self._fragments.append(payload)
        if frame.fin:
            _deliver(self._handler, b"".join(self._fragments))
            self._fragments, self._size = [], 0

    async def wait_ended(self) -> None:
        """Set `ended`; picows raises what it found wrong only from this wait."""
        try:
            await self._transport.wait_disconnected()
        except picows.WSError as error:
            self._reason = self._reason or str(error)
        if not self.ended.done():
            self.ended.set_result(Ended(self._code, self._reason))

    def send(self, text: bytes) -> None:
        self._transport.send(picows.WSMsgType.TEXT, text)

    def ping(self) -> None:
        self._transport.send_ping()

    def close(self) -> None:
        self._transport.send_close(picows.WSCloseCode.OK)
        self._transport.disconnect()


class _WebsocketsSocket:
    def __init__(
        self, connection: websockets.asyncio.client.ClientConnection, handler: FrameHandler
    ) -> None:
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._handler = handler
        self._tasks = {asyncio.create_task(self._read())}

    async def _read(self) -> None:
        ended = Ended(1006, "")
        try:
            while True:
                message = await self._connection.recv(decode=False)
                _deliver(self._handler, bytes(message))
        except websockets.ConnectionClosed as error:
            close = error.rcvd or error.sent
            ended = Ended(close.code, close.reason) if close else ended
        finally:
            if not self.ended.done():
                self.ended.set_result(ended)

    def send(self, text: bytes) -> None:
        self._start(self._connection.send(text, text=True))

    def ping(self) -> None:
        self._start(self._ping())

    def close(self) -> None:
        self._start(self._connection.close())

    async def _ping(self) -> None:
        await (await self._connection.ping())
        self._handler.alive()

    def _start(self, work: Awaitable[object]) -> None:
        async def run() -> None:
            # The connection may end first: that is reported by `ended`, once.
            with contextlib.suppress(websockets.ConnectionClosed):
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def connect(
    url: str,
    handler: FrameHandler,
    *,
    engine: str,
    bytes_max: int,
    trust: ssl.SSLContext | None = None,
) -> Socket:
    """Open a connection; raise `TransientError` when it cannot be had."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if engine == "websockets":
                connection = await websockets.asyncio.client.connect(
                    url,
                    max_size=bytes_max,
                    compression=None,
                    ping_interval=None,
                    ssl=trust if url.startswith("wss:") else None,
                )
                return _WebsocketsSocket(connection, handler)
            listener = _PicowsSocket(handler, bytes_max)
            await picows.ws_connect(
                lambda: listener,
                url,
                ssl_context=trust,
                max_frame_size=bytes_max,
                read_buffer_init_size=READ_BUFFER_BYTES,
                logger_name=_SILENT_LOGGER,
            )
            listener.ending = asyncio.create_task(listener.wait_ended())
            return listener
    except (OSError, TimeoutError, picows.WSError, websockets.WebSocketException) as error:
        raise TransientError(f"no connection to {url}: {type(error).__name__} {error}") from error


@dataclass(slots=True, kw_only=True)
class ReconnectBackoff:
    """Waits that grow by `factor` up to `max_ms`; `reset` starts over."""

    initial_ms: int
    factor: float
    max_ms: int
    attempts: int = 0

    def next_s(self, chance: float, *, terminal: bool = False) -> float:
        """Return the next wait; `chance` in [0, 1) shortens it by up to a quarter.

        A terminal refusal (wrong key, too many connections) waits the maximum at
        once: more attempts only keep the account blocked.
        """
        wait_ms = min(self.max_ms, self.initial_ms * self.factor ** min(self.attempts, 64))
        self.attempts += 1
        if terminal:
            wait_ms = self.max_ms
        return wait_ms * (1 - chance / 4) / 1000

    def reset(self) -> None:
        self.attempts = 0
