"""A WebSocket as the reader needs it: whole messages in, text out, and why it ended.

picows hands over frames four times faster than anything else; `websockets` is
the fallback behind the same three callbacks.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
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
    """Why a connection is over, as the other side said it (1006: without a word)."""

    code: int
    reason: str


class Socket(Protocol):
    """One open connection."""

    ended: asyncio.Future[Ended]

    def send(self, text: bytes) -> None: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FrameHandler:
    """Who hears what. Messages are put into `frames`; `wake` is called for the first of them.

    A list and not a callback per message: at one event a message the call is
    the largest part of the cost.
    """

    frames: list[bytes]
    wake: Callable[[], None]
    life: Callable[[], None]

    def message(self, frame: bytes) -> None:
        if not self.frames:
            self.wake()
        self.frames.append(frame)


class _PicowsSocket(picows.WSListener):
    def __init__(self, ears: FrameHandler, bytes_max: int) -> None:
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._message = ears.message
        self._frames = ears.frames
        self._wake = ears.wake
        self._life = ears.life
        self._bytes_max = bytes_max
        self.settling: asyncio.Task[None] | None = None
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
            self._life()
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
            self._message(b"".join(self._fragments))
            self._fragments, self._size = [], 0

    async def settle(self) -> None:
        """Take what picows found wrong, which it tells only to who waits for the end."""
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
        self, connection: websockets.asyncio.client.ClientConnection, ears: FrameHandler
    ) -> None:
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._ears = ears
        self._tasks = {asyncio.create_task(self._read())}

    async def _read(self) -> None:
        ended = Ended(1006, "")
        try:
            while True:
                message = await self._connection.recv(decode=False)
                self._ears.message(bytes(message))
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
        self._ears.life()

    def _start(self, work: Awaitable[object]) -> None:
        async def run() -> None:
            # The connection may end first; `ended` tells that, once.
            with contextlib.suppress(websockets.ConnectionClosed):
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def connect(
    url: str,
    ears: FrameHandler,
    *,
    engine: str,
    bytes_max: int,
    trust: ssl.SSLContext | None = None,
) -> Socket:
    """Open a connection; raise `Transient` when it cannot be had."""
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
                return _WebsocketsSocket(connection, ears)
            listener = _PicowsSocket(ears, bytes_max)
            await picows.ws_connect(
                lambda: listener,
                url,
                ssl_context=trust,
                max_frame_size=bytes_max,
                read_buffer_init_size=READ_BUFFER_BYTES,
                logger_name=_SILENT_LOGGER,
            )
            listener.settling = asyncio.create_task(listener.settle())
            return listener
    except (OSError, TimeoutError, picows.WSError, websockets.WebSocketException) as error:
        raise TransientError(f"no connection to {url}: {type(error).__name__} {error}") from error
