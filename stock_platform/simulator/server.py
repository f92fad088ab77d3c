"""Run a whole simulation: HTTP and three sockets on 127.0.0.1, in this process or a child.

`running` serves it in a thread, `simulate` is the command, `launched` runs the command as a
child. `Simulator` is a running simulation as its users hold it.
"""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import uvicorn
from picows import WSUpgradeRequest, ws_create_server
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from stock_platform.simulator import data_loss
from stock_platform.simulator.app import Application
from stock_platform.simulator.http import Request, Response, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.market.clock import Clock
from stock_platform.simulator.market.market import Market
from stock_platform.simulator.market.replayed import ReplayedMarket
from stock_platform.simulator.market.synthetic import SyntheticMarket
from stock_platform.simulator.scenario import (
    Denial,
    Fault,
    FlatFile,
    Keys,
    Scenario,
    SyntheticScenario,
    load_scenario,
    seed_of,
)
from stock_platform.simulator.vendors import flat_files, rapidapi
from stock_platform.simulator.vendors.finnhub import rest
from stock_platform.simulator.vendors.finnhub.socket import FinnhubClientSession
from stock_platform.simulator.vendors.massive.feed import LiveFeed
from stock_platform.simulator.vendors.massive.socket import ClientSession

HOST = "127.0.0.1"
_START_S = 30.0
_STOP_S = 10.0
_READY = "# ready"


@dataclass(slots=True, kw_only=True)
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
    scenario: Scenario
    clock: Clock
    finished: threading.Event
    """Set once every session has been replayed."""
    _web: Application
    _feed: LiveFeed
    _call: Callable[..., object] = field(repr=False)

    @property
    def keys(self) -> Keys:
        """Return the keys that the vendors accept."""
        return self.scenario.keys

    def environment(self) -> dict[str, str]:
        """Return the variables that point the platform at this simulator."""
        return {
            "MASSIVE_API_KEY": self.keys.massive[0],
            "MASSIVE_REST_URL": self.rest_url,
            "MASSIVE_FLATFILES_URL": self.flatfiles_url,
            "MASSIVE_FLATFILES_flat_files.BUCKET": flat_files.BUCKET,
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
        """Return (symbol, minute) of the true bars that the scripted feed never brings."""
        return data_loss.lost(self.market, self.scenario.feed, session, seed=seed_of(self.scenario))

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

    def set_denied(self, denied: Sequence[Denial]) -> None:
        self._web.denied = tuple(denied)

    def strike(self, kind: str) -> None:
        """End every connection to the feed now: reset, close_1000, silent, ..."""
        self._call(self._feed.strike, kind)

    def start(self) -> None:
        """Begin a replay whose script has `start: told`."""
        self._call(self._feed.start_requested.set)


def make_market(scenario: Scenario) -> Market:
    """Return the market a scenario describes; the default is the synthetic one."""
    if scenario.market.replay is not None:
        return ReplayedMarket(scenario.market.replay)
    return SyntheticMarket(scenario.market.synthetic or SyntheticScenario())


@contextmanager
def running(
    scenario: Scenario | Path | str | dict[str, Any] | None = None, port: int = 0
) -> Iterator[Simulator]:
    """Run a simulation in a thread while the context lasts.

    With a `port`, HTTP listens there and the sockets on the next three ports
    (real-time, delayed, Finnhub); 0 takes free ones.
    """
    loaded = load_scenario(scenario)
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


def simulate(scenario_path: Path | None, port: int = 0) -> None:
    """Serve a script, print how to reach it, and stop cleanly on SIGINT or SIGTERM.

    The environment variables come one a line, ready for `eval` in a shell.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with running(scenario_path, port) as simulator:
        sessions = simulator.market.sessions
        _print(f"# simulator at {simulator.url}")
        if sessions:
            _print(
                f"# {simulator.market.listings().height} symbols, {sessions[0]} to {sessions[-1]}"
            )
        for name, value in simulator.environment().items():
            _print(f"export {name}='{value}'")
        _print(_READY)
        stopped.wait()


@contextmanager
def launched(scenario_path: Path | None = None, port: int = 0) -> Iterator[dict[str, str]]:
    """Run `simulate` in a child process and yield the variables it prints for export.

    The truth of the child's market is `make_market(load_script(script_path))`.
    """
    arguments = [str(scenario_path or "-"), str(port)]
    command = [sys.executable, "-m", "stock_platform.simulator", *arguments]
    # Our own module and the caller's script path: nothing foreign in the command.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        try:
            yield _exported(child)
        finally:
            child.terminate()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()


@dataclass(slots=True)
class _Served:
    simulator: Simulator
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event


async def _serve(
    scenario: Scenario,
    market: Market,
    listeners: Sequence[socket.socket],
    *,
    served: "list[_Served]",
    started: threading.Event,
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    clock = Clock(scenario.market, market)
    feed = LiveFeed(market, scenario, clock, seed_of(scenario))
    transports: dict[Any, asyncio.Transport] = {}
    web = Application(
        PointInTimeMarket(market, clock),
        scenario,
        abort=lambda s: _reset(transports, s),
        seed=seed_of(scenario),
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
            lambda request: FinnhubClientSession(feed, _path(request)), sock=listeners[3]
        ),
    ]
    simulator = _simulator(scenario, market, clock, listeners, web=web, feed=feed, loop=loop)
    web.control = lambda request: _answer_control(request, simulator)
    serving = asyncio.create_task(http.serve(sockets=[listeners[0]]))
    replaying = asyncio.create_task(feed.run())
    replaying.add_done_callback(lambda task: _mark_finished(task, simulator, stop))
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
        http=_on_record(transports),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _simulator(
    scenario: Scenario,
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
        scenario=scenario,
        clock=clock,
        finished=threading.Event(),
        _web=web,
        _feed=feed,
        _call=loop.call_soon_threadsafe,
    )


def _mark_finished(task: "asyncio.Task[None]", simulator: Simulator, stop: asyncio.Event) -> None:
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


def _on_record(transports: dict[Any, asyncio.Transport]) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with its connections on record, so that a fault can break one."""

    class OnRecord(AutoHTTPProtocol):
        def connection_made(self, transport: Any) -> None:
            self.peer = transport.get_extra_info("peername")
            transports[self.peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self.peer, None)
            super().connection_lost(exc)

    return OnRecord


def _reset(transports: dict[Any, asyncio.Transport], scope: Any) -> None:
    transport = transports.get(tuple(scope["client"]))
    if transport is not None:
        transport.abort()


def _path(request: WSUpgradeRequest) -> str:
    return request.path.decode("latin-1")


def _answer_control(request: Request, simulator: Simulator) -> Response | None:
    """Answer the rest of /_simulator/: stats with the feed, clock, start, strike."""
    name = request.path.rsplit("/", 1)[-1]
    if name == "start" and request.method == "POST":
        simulator.start()
        return to_json({"ok": True})
    if name == "strike" and request.method == "POST":
        simulator.strike(request.query.get("kind", "reset"))
        return to_json({"ok": True})
    if name == "stats":
        return to_json(simulator.stats())
    if name == "clock":
        now: datetime = simulator.clock.now()
        return to_json({"now": now, "replayed": simulator.clock.replayed})
    return None


def _exported(child: subprocess.Popen[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in child.stdout:
        if line.startswith(_READY):
            return variables
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value.strip("'")
    raise RuntimeError(f"the simulator ended with code {child.wait()} before it was ready")


def _print(line: str) -> None:
    # Flushed at once: the parent process waits for these lines.
    print(line, flush=True)  # noqa: T201 - the command's output
