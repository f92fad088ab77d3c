"""Run a whole simulation in one process: HTTP and three sockets on 127.0.0.1."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import uvicorn
from picows import WSUpgradeRequest, ws_create_server
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from stock_platform.simulator import losses, rest_finnhub, rest_rapidapi
from stock_platform.simulator.book import Book
from stock_platform.simulator.clock import Clock
from stock_platform.simulator.exchange import Ask, Reply, to_json
from stock_platform.simulator.feed import LiveFeed
from stock_platform.simulator.flatfiles import BUCKET
from stock_platform.simulator.market import Market
from stock_platform.simulator.replayed import ReplayedMarket
from stock_platform.simulator.script import (
    Fault,
    FlatFile,
    Keys,
    Script,
    SyntheticScript,
    load_script,
)
from stock_platform.simulator.synthetic import SyntheticMarket
from stock_platform.simulator.web import Web
from stock_platform.simulator.ws_finnhub import FinnhubReader
from stock_platform.simulator.ws_massive import Reader

HOST = "127.0.0.1"
_START_S = 30.0
_STOP_S = 10.0


@dataclass(slots=True)
class Simulator:
    """A running simulation: where it is, what is true in it, and handles to change it."""

    url: str
    rest_url: str
    finnhub_url: str
    finnhub_ws_url: str
    rapidapi_url: str
    flatfiles_url: str
    ws_url_realtime: str
    """Without the `/stocks` that clients append."""
    ws_url_delayed: str
    market: Market
    script: Script
    clock: Clock
    finished: threading.Event
    """Set once every session has been replayed."""
    _web: Web
    _feed: LiveFeed
    _call: Callable[..., object] = field(repr=False)

    @property
    def keys(self) -> Keys:
        """What the vendors accept; the first of each will do."""
        return self.script.keys

    def environment(self) -> dict[str, str]:
        """Give the variables that point the platform at this simulator."""
        return {
            "MASSIVE_API_KEY": self.keys.massive[0],
            "MASSIVE_REST_URL": self.rest_url,
            "MASSIVE_FLATFILES_URL": self.flatfiles_url,
            "MASSIVE_FLATFILES_BUCKET": BUCKET,
            "MASSIVE_FLATFILES_ACCESS_KEY": self.keys.flatfiles[0],
            "MASSIVE_FLATFILES_SECRET_KEY": "simulated-secret",
            "FINNHUB_API_KEY": self.keys.finnhub[0],
            "FINNHUB_REST_URL": self.finnhub_url,
            "RAPIDAPI_KEY": self.keys.rapidapi[0],
            "RAPIDAPI_URL": f"{self.rapidapi_url}/quote/{{symbol}}",
            "POLYGON_API_KEY": self.keys.massive[0],
            "POLYGON_WS_HOST_REALTIME": self.ws_url_realtime,
            "POLYGON_WS_HOST_DELAYED": self.ws_url_delayed,
        }

    def lost(self, session: date) -> pl.DataFrame:
        """Give (symbol, minute) of the true bars that the scripted feed never brings."""
        return losses.lost(self.market, self.script.feed, session, seed=_seed(self.script))

    def stats(self) -> dict[str, Any]:
        """Count requests by endpoint, strikes by fault, connections and events."""
        return {
            **self._web.stats(),
            "events_sent": self._feed.events_sent,
            "readers": len(self._feed.readers),
            "finished": self.finished.is_set(),
            "replayed": self.clock.replayed.isoformat(),
        }

    def set_faults(self, faults: Sequence[Fault]) -> None:
        self._web.faults.set(faults)

    def set_flatfiles(self, changes: Sequence[FlatFile]) -> None:
        self._web.bucket.changes = tuple(changes)

    def strike(self, kind: str) -> None:
        """End every connection to the feed now: reset, close_1000, silent, ..."""
        self._call(self._feed.strike, kind)

    def start(self) -> None:
        """Begin a replay whose script says `start: told`."""
        self._call(self._feed.told.set)


def make_market(script: Script) -> Market:
    """Make the market a script describes; the default is the synthetic one."""
    if script.market.replay is not None:
        return ReplayedMarket(script.market.replay)
    return SyntheticMarket(script.market.synthetic or SyntheticScript())


@contextmanager
def running(
    script: Script | Path | str | dict[str, Any] | None = None, port: int = 0
) -> Iterator[Simulator]:
    """Run a simulation in a thread while the context lasts.

    With a `port`, HTTP listens there and the sockets on the next three ports
    (real-time, delayed, Finnhub); 0 takes free ones.
    """
    loaded = load_script(script)
    market = make_market(loaded)
    listeners = [_listen(port + n if port else 0) for n in range(4)]
    started: threading.Event = threading.Event()
    served: list[_Served] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(_serve(loaded, market, listeners, served=served, started=started))
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            started.set()

    thread = threading.Thread(target=work, name="simulator", daemon=True)
    thread.start()
    started.wait(_START_S)
    if not served:
        raise RuntimeError("the simulator did not start") from (failed[0] if failed else None)
    try:
        yield served[0].simulator
    finally:
        served[0].loop.call_soon_threadsafe(served[0].stop.set)
        thread.join(_STOP_S)


@dataclass(slots=True)
class _Served:
    simulator: Simulator
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


async def _serve(
    script: Script,
    market: Market,
    listeners: Sequence[socket.socket],
    *,
    served: "list[_Served]",
    started: threading.Event,
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    clock = Clock(script.market, market)
    feed = LiveFeed(market, script, clock, _seed(script))
    transports: dict[Any, asyncio.Transport] = {}
    web = Web(
        Book(market, clock), script, abort=lambda s: _reset(transports, s), seed=_seed(script)
    )
    http = uvicorn.Server(
        uvicorn.Config(
            web,
            http=_remembering(transports),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    sockets = [
        await ws_create_server(
            lambda _: Reader(feed, delayed=False), sock=listeners[1], max_frame_size=1 << 20
        ),
        await ws_create_server(
            lambda _: Reader(feed, delayed=True), sock=listeners[2], max_frame_size=1 << 20
        ),
        await ws_create_server(lambda ask: FinnhubReader(feed, _path(ask)), sock=listeners[3]),
    ]
    simulator = _simulator(script, market, clock, listeners, web=web, feed=feed, loop=loop)
    web.control = lambda ask: _control(ask, simulator)
    serving = asyncio.create_task(http.serve(sockets=[listeners[0]]))
    replaying = asyncio.create_task(feed.run())
    replaying.add_done_callback(lambda task: _tell_finished(task, simulator))
    served.append(_Served(simulator, loop, stop))
    started.set()
    await stop.wait()
    replaying.cancel()
    feed.strike("close_1001")
    for server in sockets:
        server.close()
    http.should_exit = True
    await serving


def _simulator(
    script: Script,
    market: Market,
    clock: Clock,
    listeners: Sequence[socket.socket],
    *,
    web: Web,
    feed: LiveFeed,
    loop: asyncio.AbstractEventLoop,
) -> Simulator:
    http, realtime, delayed, finnhub = (listener.getsockname()[1] for listener in listeners)
    url = f"http://{HOST}:{http}"
    return Simulator(
        url=url,
        rest_url=url,
        finnhub_url=url + rest_finnhub.PREFIX,
        finnhub_ws_url=f"ws://{HOST}:{finnhub}",
        rapidapi_url=url + rest_rapidapi.PREFIX,
        flatfiles_url=url,
        ws_url_realtime=f"ws://{HOST}:{realtime}",
        ws_url_delayed=f"ws://{HOST}:{delayed}",
        market=market,
        script=script,
        clock=clock,
        finished=threading.Event(),
        _web=web,
        _feed=feed,
        _call=loop.call_soon_threadsafe,
    )


def _control(ask: Ask, simulator: Simulator) -> Reply | None:
    """Answer the rest of /_simulator/: stats with the feed, clock, start, strike."""
    name = ask.path.rsplit("/", 1)[-1]
    if name == "start" and ask.method == "POST":
        simulator.start()
        return to_json({"ok": True})
    if name == "strike" and ask.method == "POST":
        simulator.strike(ask.query.get("kind", "reset"))
        return to_json({"ok": True})
    if name == "stats":
        return to_json(simulator.stats())
    if name == "clock":
        now: datetime = simulator.clock.now()
        return to_json({"now": now, "replayed": simulator.clock.replayed})
    return None


def _tell_finished(task: "asyncio.Task[None]", simulator: Simulator) -> None:
    if not task.cancelled() and task.exception() is None:
        simulator.finished.set()


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only for a socket that names its protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(128)
    return listener


def _remembering(transports: dict[Any, asyncio.Transport]) -> type[asyncio.Protocol]:
    """Give uvicorn's protocol with its connections on record, so that a fault can break one."""

    class Remembering(AutoHTTPProtocol):
        def connection_made(self, transport: Any) -> None:
            self.peer = transport.get_extra_info("peername")
            transports[self.peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self.peer, None)
            super().connection_lost(exc)

    return Remembering


def _reset(transports: dict[Any, asyncio.Transport], scope: Any) -> None:
    transport = transports.get(tuple(scope["client"]))
    if transport is not None:
        transport.abort()


def _path(ask: WSUpgradeRequest) -> str:
    return ask.path.decode("latin-1")


def _seed(script: Script) -> int:
    market = script.market
    return (market.replay or market.synthetic or SyntheticScript()).seed
