"""PROVIDERS.md section 6, items 6 and 7: the bars Massive's REST tells, and when."""

from datetime import UTC, date, datetime
from datetime import time as clock_time

import httpx2
import polars as pl
import pytest

from stock_platform.domain.sessions import NEW_YORK
from stock_platform.simulator.server import Simulator
from stock_platform_tests.simulator.rest_client import DAY, HALF_DAY, RANGE, asking, at_ms


def test_6_6_next_url_carries_no_key_and_leads_through_every_bar() -> None:
    with asking() as (client, simulator):
        pages = [client.get(f"{RANGE}?limit=100&adjusted=false").json()]
        while "next_url" in pages[-1]:
            pages.append(client.get(pages[-1]["next_url"]).json())
        truth = simulator.market.bars_of("AAPL", DAY)

    starts = [bar["t"] for page in pages for bar in page["results"]]
    assert starts == truth["minute"].dt.epoch("ms").to_list()
    assert [page["queryCount"] for page in pages] == [100, 100, 100, 90]
    assert "apiKey" not in pages[0]["next_url"]
    assert f"/minute/{starts[100]}/{DAY}?cursor=" in pages[0]["next_url"]


def test_6_6_pages_run_backwards_when_sorted_descending() -> None:
    with asking() as (client, _):
        pages = [client.get(f"{RANGE}?limit=150&sort=desc").json()]
        while "next_url" in pages[-1]:
            pages.append(client.get(pages[-1]["next_url"]).json())

    starts = [bar["t"] for page in pages for bar in page["results"]]
    assert starts == sorted(set(starts), reverse=True)
    assert len(starts) == 390


def test_6_6_limit_counts_base_bars_and_never_cuts_a_window() -> None:
    path = f"/v2/aggs/ticker/AAPL/range/5/minute/{DAY}/{DAY}?limit=12"
    with asking() as (client, _):
        pages = [client.get(path).json()]
        while "next_url" in pages[-1]:
            pages.append(client.get(pages[-1]["next_url"]).json())

    starts = [bar["t"] for page in pages for bar in page["results"]]
    assert pages[0]["queryCount"] == 10
    assert pages[0]["resultsCount"] == 2
    assert len(starts) == len(set(starts)) == 78


def test_6_6_adjusted_rescales_price_and_volume_before_the_split(massive: httpx2.Client) -> None:
    path = "/v2/aggs/ticker/MSFT/range/1/day/2026-11-25/2026-11-27"

    raw = massive.get(f"{path}?adjusted=false").json()["results"]
    adjusted = massive.get(path).json()["results"]

    assert raw[0]["c"] / adjusted[0]["c"] == pytest.approx(4, rel=1e-4)
    assert adjusted[0]["v"] / raw[0]["v"] == pytest.approx(4, rel=1e-6)
    assert raw[1] == adjusted[1]


def test_6_6_past_answers_change_on_the_morning_the_split_executes() -> None:
    path = "/v2/aggs/ticker/MSFT/range/1/day/2026-11-24/2026-11-24"

    def close(now: str) -> float:
        with asking(market={"now": now}) as (client, _):
            return client.get(path).json()["results"][0]["c"]

    before, after = close("2026-11-26T23:00:00-05:00"), close("2026-11-27T04:00:00-05:00")

    assert before / after == pytest.approx(4, rel=1e-4)


def test_6_6_volume_is_fractional(massive: httpx2.Client) -> None:
    bars = massive.get(RANGE).json()["results"]

    assert any(bar["v"] % 1 for bar in bars)


def test_6_7_three_daily_endpoints_stamp_the_same_day_in_their_own_way(
    massive: httpx2.Client,
) -> None:
    ranged = massive.get("/v2/aggs/ticker/AAPL/range/1/day/2026-12-01/2026-12-01").json()
    grouped = massive.get("/v2/aggs/grouped/locale/us/market/stocks/2026-12-01").json()
    previous = massive.get("/v2/aggs/ticker/AAPL/prev").json()
    flat = massive.get("/v1/open-close/AAPL/2026-12-01").json()

    day = date(2026, 12, 1)
    assert ranged["results"][0]["t"] == at_ms(day, "00:00")
    assert {bar["t"] for bar in grouped["results"]} == {at_ms(day, "16:00")}
    assert previous["results"][0]["t"] == at_ms(day, "16:00")
    assert (flat["from"], "t" in flat) == ("2026-12-01", False)


def test_a_range_takes_dates_and_milliseconds_inclusive(massive: httpx2.Client) -> None:
    first, last = at_ms(DAY, "10:00"), at_ms(DAY, "10:04")

    bars = massive.get(f"/v2/aggs/ticker/AAPL/range/1/minute/{first}/{last}").json()["results"]

    assert [bar["t"] for bar in bars] == list(range(first, last + 1, 60_000))


def test_an_hour_begins_on_the_hour_and_a_week_on_sunday(massive: httpx2.Client) -> None:
    first = at_ms(DAY, "09:30")
    hours = massive.get(f"/v2/aggs/ticker/AAPL/range/1/hour/{first}/{DAY}").json()["results"]
    weeks = massive.get("/v2/aggs/ticker/AAPL/range/1/week/2026-11-24/2026-12-01").json()["results"]

    assert hours[0]["t"] == at_ms(DAY, "09:00")
    sundays = [datetime.fromtimestamp(bar["t"] / 1000, UTC).astimezone(NEW_YORK) for bar in weeks]
    assert [f"{day:%a %d}" for day in sundays] == ["Sun 22", "Sun 29"]


def test_during_the_session_rest_tells_no_more_than_has_happened() -> None:
    now = datetime.combine(DAY, clock_time(10, 30, 30), NEW_YORK)
    with asking(market={"now": now.isoformat()}) as (client, _):
        bars = client.get(RANGE).json()["results"]
        state = client.get("/v1/marketstatus/now").json()["market"]

    assert bars[-1]["t"] == at_ms(DAY, "10:29")
    assert state == "open"


@pytest.mark.parametrize("symbol", ["BF%2FB", "BRK.B", "NA", "NULL"])
def test_awkward_symbols_are_asked_for_like_any_other(massive: httpx2.Client, symbol: str) -> None:
    answer = massive.get(f"/v2/aggs/ticker/{symbol}/range/1/day/{DAY}/{DAY}").json()

    assert answer["resultsCount"] == 1


def test_reference_tickers_page_by_cursor_and_filter(massive: httpx2.Client) -> None:
    page = massive.get("/v3/reference/tickers?limit=2&ticker.gte=B").json()
    names = [row["ticker"] for row in page["results"]]
    while "next_url" in page:
        page = massive.get(page["next_url"]).json()
        names += [row["ticker"] for row in page["results"]]

    unlisted = massive.get("/v3/reference/tickers?date=2000-01-03").json()

    assert names == ["BF/B", "BRK.B", "MSFT", "NA", "NULL", "QUBT"]
    assert unlisted["results"] == []


def test_the_coming_half_day_is_announced_with_its_hours() -> None:
    with asking(market={"now": "2026-11-20T12:00:00-05:00"}) as (client, _):
        rows = client.get("/v1/marketstatus/upcoming").json()

    assert {row["exchange"]: row["close"] for row in rows if row["date"] == str(HALF_DAY)} == {
        "NYSE": "2026-11-27T18:00:00.000Z",
        "NASDAQ": "2026-11-27T18:00:00.000Z",
    }
    assert ("2026-11-26", "closed") in {(row["date"], row["status"]) for row in rows}


def test_trades_on_rest_are_the_trades_of_the_minute(massive: httpx2.Client) -> None:
    first, end = (at_ms(DAY, clock) * 1_000_000 for clock in ("10:00", "10:01"))
    query = f"timestamp.gte={first}&timestamp.lt={end}&order=asc"

    trades = massive.get(f"/v3/trades/AAPL?{query}").json()["results"]
    bar = massive.get(f"/v2/aggs/ticker/AAPL/range/1/minute/{first // 10**6}/{first // 10**6}")

    truth = bar.json()["results"][0]
    assert trades[0]["price"] == truth["o"]
    assert trades[-1]["price"] == truth["c"]
    assert sum(float(trade["decimal_size"]) for trade in trades) == pytest.approx(truth["v"])


def test_grouped_days_hold_every_symbol_that_traded(
    massive: httpx2.Client, simulator: Simulator
) -> None:
    path = f"/v2/aggs/grouped/locale/us/market/stocks/{HALF_DAY}?adjusted=false"

    rows = pl.DataFrame(massive.get(path).json()["results"])
    truth = simulator.market.daily_bars(HALF_DAY)

    assert rows["T"].to_list() == truth["symbol"].to_list()
    assert rows["c"].to_list() == truth["close"].to_list()
    assert rows["v"].to_list() == truth["volume"].to_list()
