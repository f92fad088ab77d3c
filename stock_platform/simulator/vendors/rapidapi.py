"""A quote endpoint as found on RapidAPI, under /rapidapi: /quote/{symbol} and /quotes."""

from dataclasses import dataclass

from stock_platform.simulator.http import Request, Response, Route, route, to_json
from stock_platform.simulator.market.as_of import PointInTimeMarket

PREFIX = "/rapidapi"
NOT_SUBSCRIBED = {"message": "You are not subscribed to this API."}
QUOTA = {
    "message": "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC. "
    "Upgrade your plan at https://rapidapi.com/"
}
OVER_THE_RATE = {
    "message": "You have exceeded the rate limit per second for your plan, BASIC, "
    "by the API provider"
}
_QUOTA = 100_000
_RESET_S = 1_814_400


@dataclass(slots=True)
class RapidApi:
    """The quote endpoint over one book; counts what is left of a month's quota."""

    as_of: PointInTimeMarket
    requests: int = 0

    def routes(self) -> list[Route]:
        return [
            route(f"{PREFIX}/quote/{{symbol}}", self.quote),
            route(f"{PREFIX}/quotes", self.quotes),
        ]

    def quote(self, request: Request, symbol: str) -> Response:
        """Answer one object; an unknown symbol is an error object with status 200."""
        return self._counted(to_json(self._quote(symbol)))

    def quotes(self, request: Request) -> Response:
        """Answer an array for `symbols=A,B`."""
        names = [name for name in request.query.get("symbols", "").split(",") if name]
        return self._counted(to_json([self._quote(name) for name in names]))

    def _quote(self, symbol: str) -> dict[str, object]:
        found = self.as_of.latest(symbol)
        if found is None:
            return {"error": {"code": 404, "description": f"No data found for {symbol[:32]}"}}
        bars = found[1]
        last = bars.row(-1, named=True)
        return {
            "symbol": symbol,
            "price": last["close"],
            "open": bars["open"][0],
            "high": bars["high"].max(),
            "low": bars["low"].min(),
            "timestamp": int(last["minute"].timestamp()) + 59,
        }

    def _counted(self, response: Response) -> Response:
        self.requests += 1
        return response.with_headers(
            x_ratelimit_requests_limit=str(_QUOTA),
            x_ratelimit_requests_remaining=str(max(0, _QUOTA - self.requests)),
            x_ratelimit_requests_reset=str(_RESET_S),
        )


def over_quota() -> Response:
    """Return the 429 that waiting a minute does not heal."""
    return to_json(QUOTA, status=429).with_headers(
        x_ratelimit_requests_limit=str(_QUOTA),
        x_ratelimit_requests_remaining="0",
        x_ratelimit_requests_reset=str(_RESET_S),
    )


def authorized(request: Request, keys: tuple[str, ...]) -> Response | None:
    """Return the 403 of a key that is not subscribed, or None."""
    known = request.headers.get("x-rapidapi-key", "") in keys
    return None if known else to_json(NOT_SUBSCRIBED, status=403)
