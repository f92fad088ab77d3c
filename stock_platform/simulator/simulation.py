"""A running simulation as its users hold it: addresses, truth, and handles to change it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from stock_platform.simulator import data_loss
from stock_platform.simulator.app import Application
from stock_platform.simulator.http import Request, Response, to_json
from stock_platform.simulator.market.clock import Clock
from stock_platform.simulator.market.market import Market
from stock_platform.simulator.scenario import Denial, Fault, FlatFile, Keys, Scenario, seed_of
from stock_platform.simulator.vendors.flat_files import BUCKET
from stock_platform.simulator.vendors.massive.feed import LiveFeed


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
    script: Scenario
    clock: Clock
    finished: threading.Event
    """Set once every session has been replayed."""
    _web: Application
    _feed: LiveFeed
    _call: Callable[..., object] = field(repr=False)

    @property
    def keys(self) -> Keys:
        """What the vendors accept; the first of each will do."""
        return self.script.keys

    def environment(self) -> dict[str, str]:
        """Return the variables that point the platform at this simulator."""
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
        return data_loss.lost(self.market, self.script.feed, session, seed=seed_of(self.script))

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
        """Begin a replay whose script says `start: told`."""
        self._call(self._feed.told.set)


def answer_control(ask: Request, simulator: Simulator) -> Response | None:
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
