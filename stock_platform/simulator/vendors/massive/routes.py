"""Massive's REST API: which path is answered by whom, and who may ask."""

from stock_platform.simulator.http import Request, Response, Route, route
from stock_platform.simulator.market.as_of import PointInTimeMarket
from stock_platform.simulator.scenario import Scenario
from stock_platform.simulator.vendors.massive.bars import Bars
from stock_platform.simulator.vendors.massive.reference import Reference
from stock_platform.simulator.vendors.massive.responses import unauthorized
from stock_platform.simulator.vendors.massive.ticks import Ticks


def massive_routes(as_of: PointInTimeMarket, scenario: Scenario) -> list[Route]:
    """Return the routes of Massive's REST API; the first that matches answers."""
    status = scenario.plan.status
    bars, reference = Bars(as_of, status), Reference(as_of, status)
    ticks = Ticks(as_of, scenario.feed, status)
    snapshot = "/v2/snapshot/locale/us/markets/stocks"
    return [
        route("/v2/aggs/ticker/{symbol}/range/{multiplier}/{timespan}/{first}/{last}", bars.range),
        route("/v2/aggs/grouped/locale/us/market/stocks/{day}", bars.grouped),
        route("/v2/aggs/ticker/{symbol}/prev", bars.previous),
        route("/v1/open-close/{symbol}/{day}", bars.open_close),
        route("/v3/reference/tickers", reference.tickers),
        route("/v3/reference/tickers/types", reference.types),
        route("/v3/reference/tickers/{symbol}", reference.details),
        route("/vX/reference/tickers/{symbol}/events", reference.events),
        route("/v3/reference/splits", reference.splits),
        route("/v3/reference/dividends", reference.dividends),
        route("/v3/reference/conditions", reference.conditions),
        route("/v3/reference/exchanges", reference.exchanges),
        route("/stocks/v1/splits", reference.splits),
        route("/stocks/v1/dividends", reference.dividends),
        route("/v1/marketstatus/now", reference.status_now),
        route("/v1/marketstatus/upcoming", reference.status_upcoming),
        route(f"{snapshot}/tickers", ticks.snapshots),
        route(f"{snapshot}/tickers/{{symbol}}", ticks.snapshot),
        route(f"{snapshot}/{{direction}}", ticks.movers),
        route("/v3/snapshot", ticks.universal),
        route("/v2/last/trade/{symbol}", ticks.last_trade),
        route("/v2/last/nbbo/{symbol}", ticks.last_quote),
        route("/v3/trades/{symbol}", ticks.trades),
        route("/v3/quotes/{symbol}", ticks.quotes),
    ]


def authorized(request: Request, keys: tuple[str, ...]) -> Response | None:
    """Return the vendor's 401, or None for a key of the scenario (header or query)."""
    bearer = request.headers.get("authorization", "")
    key = bearer.removeprefix("Bearer ").strip() or request.query.get("apiKey", "")
    return None if key in keys else unauthorized(key_given=bool(key))
