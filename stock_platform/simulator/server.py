"""Run a whole simulation in one process: HTTP and three sockets on 127.0.0.1."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from picows import WSUpgradeRequest, ws_create_server
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from stock_platform.simulator.app import Application
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.market.clock import Clock
from stock_platform.simulator.market.market import Market
from stock_platform.simulator.market.replayed import ReplayedMarket
from stock_platform.simulator.market.synthetic import SyntheticMarket
from stock_platform.simulator.scenario import Scenario, SyntheticScenario, load_scenario, seed_of
from stock_platform.simulator.simulation import Simulator, answer_control
from stock_platform.simulator.vendors import rapidapi
from stock_platform.simulator.vendors.finnhub import rest
from stock_platform.simulator.vendors.finnhub.socket import FinnhubClientSession
from stock_platform.simulator.vendors.massive.feed import LiveFeed
from stock_platform.simulator.vendors.massive.socket import ClientSession

HOST = "127.0.0.1"
_START_S = 30.0
_STOP_S = 10.0


def make_market(script: Scenario) -> Market:
    """Make the market a script describes; the default is the synthetic one."""
    if script.market.replay is not None:
        return ReplayedMarket(script.market.replay)
    return SyntheticMarket(script.market.synthetic or SyntheticScenario())


@contextmanager
def running(
    script: Scenario | Path | str | dict[str, Any] | None = None, port: int = 0
) -> Iterator[Simulator]:
    """Run a simulation in a thread while the context lasts.

    With a `port`, HTTP listens there and the sockets on the next three ports
    (real-time, delayed, Finnhub); 0 takes free ones.
    """
    loaded = load_scenario(script)
    market = make_market(loaded)
    listeners = [_listen(port + n if port else 0) for n in range(4)]
    started: threading.Event = threading.Event()
    served: list[_Served] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            asyncio.run(_serve(loaded, market, listeners, served=served, started=started))
        except Exception as error:
            failed.append(error)
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
        if thread.is_alive():
            served[0].loop.call_soon_threadsafe(served[0].stop.set)
        thread.join(_STOP_S)
    if failed:
        raise RuntimeError("the simulator broke") from failed[0]


@dataclass(slots=True)
class _Served:
    simulator: Simulator
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


async def _serve(
    script: Scenario,
    market: Market,
    listeners: Sequence[socket.socket],
    *,
    served: "list[_Served]",
    started: threading.Event,
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    clock = Clock(script.market, market)
    feed = LiveFeed(market, script, clock, seed_of(script))
    transports: dict[Any, asyncio.Transport] = {}
    web = Application(
        PointInTimeMarket(market, clock),
        script,
        abort=lambda s: _reset(transports, s),
        seed=seed_of(script),
    )
    http = _http_server(web, transports)
    sockets = [
        await ws_create_server(
            lambda _: ClientSession(feed, delayed=False), sock=listeners[1], max_frame_size=1 << 20
        ),
        await ws_create_server(
            lambda _: ClientSession(feed, delayed=True), sock=listeners[2], max_frame_size=1 << 20
        ),
        await ws_create_server(
            lambda ask: FinnhubClientSession(feed, _path(ask)), sock=listeners[3]
        ),
    ]
    simulator = _simulator(script, market, clock, listeners, web=web, feed=feed, loop=loop)
    web.control = lambda ask: answer_control(ask, simulator)
    serving = asyncio.create_task(http.serve(sockets=[listeners[0]]))
    replaying = asyncio.create_task(feed.run())
    replaying.add_done_callback(lambda task: _tell_finished(task, simulator, stop))
    served.append(_Served(simulator, loop, stop))
    started.set()
    await stop.wait()
    replaying.cancel()
    feed.strike("close_1001")
    for server in sockets:
        server.close()
    http.should_exit = True
    await serving
    with suppress(asyncio.CancelledError):
        await replaying


def _http_server(web: Application, transports: dict[Any, asyncio.Transport]) -> uvicorn.Server:
    config = uvicorn.Config(
        web,
        http=_remembering(transports),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _simulator(
    script: Scenario,
    market: Market,
    clock: Clock,
    listeners: Sequence[socket.socket],
    *,
    web: Application,
    feed: LiveFeed,
    loop: asyncio.AbstractEventLoop,
) -> Simulator:
    http, realtime, delayed, finnhub = (listener.getsockname()[1] for listener in listeners)
    url = f"http://{HOST}:{http}"
    return Simulator(
        url=url,
        rest_url=url,
        finnhub_url=url + rest.PREFIX,
        finnhub_ws_url=f"ws://{HOST}:{finnhub}",
        rapidapi_url=url + rapidapi.PREFIX,
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


def _tell_finished(task: "asyncio.Task[None]", simulator: Simulator, stop: asyncio.Event) -> None:
    """Set `finished` after the last session; a replay that broke ends the whole simulation."""
    if task.cancelled():
        return
    if task.exception() is not None:
        stop.set()
    else:
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
