"""Finnhub's socket: trades only, a ping now and then, and one connection per key."""

import asyncio
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec
import polars as pl
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from stock_platform.domain.symbols import is_symbol
from stock_platform.simulator.scenario import Scenario

TOO_MANY_SYMBOLS = {"type": "error", "msg": "Subscribing to too many symbols"}
PING_EVERY_S = 60.0
_BUFFER_HIGH = 1 << 20
_TRADES_PER_MESSAGE = 50
_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}


class Feed(Protocol):
    """What a session needs of the feed that it reads."""

    scenario: Scenario
    finnhub_readers: "list[FinnhubClientSession]"
    changed: asyncio.Event
    is_down: bool


class FinnhubClientSession(WSListener):
    """One connection to Finnhub's socket. Lives in the simulator's event loop."""

    delayed = False

    def __init__(self, feed: Feed, path: str) -> None:
        self.feed = feed
        self.key = (parse_qs(urlsplit(path).query).get("token") or [""])[0]
        self.symbols: set[str] = set()
        self.frames_sent = 0
        self.leaving = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ping: asyncio.TimerHandle | None = None

    @property
    def is_subscribed(self) -> bool:
        return bool(self.symbols) and not self.leaving

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        if self.key not in self.feed.scenario.keys.finnhub or self.feed.is_down:
            transport.disconnect(graceful=False)
            return
        transport.underlying_transport.set_write_buffer_limits(high=_BUFFER_HIGH)
        rivals = [r for r in self.feed.finnhub_readers if r.key == self.key]
        self.feed.finnhub_readers.append(self)
        if rivals:
            # The vendor drops both, not the newer one.
            for reader in (*rivals, self):
                reader.hang_up()
            return
        self._schedule_ping()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        if frame.msg_type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return
        try:
            message: Any = msgspec.json.decode(frame.get_payload_as_bytes())
        except msgspec.DecodeError:
            return
        symbol = str(message.get("symbol", "")) if isinstance(message, dict) else ""
        if not is_symbol(symbol):
            self._send({"type": "error", "msg": f"Invalid symbol {symbol[:32]}"})
        elif message.get("type") == "unsubscribe":
            self.symbols.discard(symbol)
        elif len(self.symbols | {symbol}) > self.feed.scenario.plan.finnhub_symbols_max:
            self._send(TOO_MANY_SYMBOLS)
        else:
            self.symbols.add(symbol)
            self.feed.changed.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.leaving = True
        self._flowing.set()
        if self._ping:
            self._ping.cancel()
        if self in self.feed.finnhub_readers:
            self.feed.finnhub_readers.remove(self)
        self.feed.changed.set()

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    async def drained(self, patience_s: float) -> None:
        """Wait until the client has taken most of what was sent."""
        if not self._flowing.is_set():
            try:
                async with asyncio.timeout(patience_s):
                    await self._flowing.wait()
            except TimeoutError:
                self.hang_up()

    def send(self, trades: pl.DataFrame) -> None:
        """Send the trades given as fields of Massive's channel T."""
        unit = _PER_MS[self.feed.scenario.feed.time_unit]
        rows = trades.select(
            s="sym",
            p="p",
            t=pl.col("t") // unit,
            v=pl.col("ds").cast(pl.Float64),
            c=pl.concat_list(pl.lit("1"), pl.lit("12")),
        ).to_dicts()
        for start in range(0, len(rows), _TRADES_PER_MESSAGE):
            self.frames_sent += 1
            self._send({"type": "trade", "data": rows[start : start + _TRADES_PER_MESSAGE]})

    def hang_up(self) -> None:
        if not self.leaving:
            self.leaving = True
            self.transport.send_close(WSCloseCode.GOING_AWAY)
            self.transport.disconnect()

    def _send(self, message: dict[str, Any]) -> None:
        if not self.leaving:
            self.transport.send(WSMsgType.TEXT, msgspec.json.encode(message))

    def _schedule_ping(self) -> None:
        self._ping = asyncio.get_running_loop().call_later(PING_EVERY_S, self._on_ping)

    def _on_ping(self) -> None:
        self._send({"type": "ping"})
        self._schedule_ping()
