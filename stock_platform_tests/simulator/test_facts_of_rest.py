"""PROVIDERS.md section 6, items 6 and 7: what Massive's REST must be able to do."""

import gzip
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from datetime import time as clock_time
from typing import Any

import httpx2
import massive
import polars as pl
import pytest

from stock_platform.domain.session import NEW_YORK
from stock_platform.simulator.script import Denial, Fault
from stock_platform.simulator.serve import running
from stock_platform.simulator.simulation import Simulator

DAY = date(2026, 11, 24)
HALF_DAY = date(2026, 11, 27)
SPLIT_ON = date(2026, 11, 27)
RANGE = f"/v2/aggs/ticker/AAPL/range/1/minute/{DAY}/{DAY}"
SYNTHETIC = {
    "symbols": ("AAPL", "MSFT"),
    "first": "2026-11-23",
    "last": "2026-12-01",
    "splits": [{"symbol": "MSFT", "on": str(SPLIT_ON), "split_from": 1, "split_to": 4}],
}


@contextmanager
def asking(**parts: Any) -> Iterator[tuple[httpx2.Client, Simulator]]:
    market = {"synthetic": SYNTHETIC, **parts.pop("market", {})}
    with running({"market": market, **parts}) as simulator:
        headers = {"Authorization": f"Bearer {simulator.keys.massive[0]}"}
        with httpx2.Client(base_url=simulator.rest_url, headers=headers, timeout=5) as client:
            yield client, simulator


@contextmanager
def faulty(kind: str, **fault: Any) -> Iterator[httpx2.Client]:
    with asking(faults=[{"kind": kind, **fault}]) as (client, _):
        yield client


def at_ms(day: date, clock: str) -> int:
    return int(datetime.combine(day, clock_time.fromisoformat(clock), NEW_YORK).timestamp() * 1000)


def test_6_6_429_comes_with_the_vendors_words_and_without_retry_after() -> None:
    with faulty("too_many_requests", count=1) as client:
        first, second = client.get(RANGE), client.get(RANGE)

    assert first.status_code == 429
    assert first.json()["error"].startswith("You've exceeded the maximum requests per minute")
    assert "retry-after" not in first.headers
    assert second.status_code == 200


def test_6_6_429_comes_with_an_empty_body_and_a_retry_after() -> None:
    with faulty("too_many_requests", body="empty", retry_after_s=2) as client:
        answer = client.get(RANGE)

    assert (answer.status_code, answer.content) == (429, b"")
    assert answer.headers["retry-after"] == "2"


def test_6_6_a_plan_allows_so_many_requests_a_minute() -> None:
    plan = {"limits": [{"vendor": "massive", "requests": 5}]}
    with asking(plan=plan) as (client, _):
        statuses = [client.get(RANGE).status_code for _ in range(7)]

    assert statuses == [200] * 5 + [429] * 2


def test_6_6_an_endpoint_outside_the_plan_is_403_not_authorized() -> None:
    plan = {"denied": [{"path": "/v2/snapshot/"}]}
    with asking(plan=plan) as (client, _):
        denied = client.get("/v2/snapshot/locale/us/markets/stocks/tickers/AAPL")
        allowed = client.get(RANGE)

    assert denied.status_code == 403
    assert denied.json()["status"] == "NOT_AUTHORIZED"
    assert denied.json()["message"].startswith("You are not entitled to this data.")
    assert allowed.status_code == 200


@pytest.mark.parametrize("edge", [str(DAY), str(at_ms(DAY, "10:00"))])
def test_6_6_days_outside_the_plan_are_403_as_dates_and_as_milliseconds(edge: str) -> None:
    plan = {"denied": [{"path": "/v2/aggs/", "last": str(DAY)}]}
    with asking(plan=plan) as (client, _):
        denied = client.get(f"/v2/aggs/ticker/AAPL/range/1/minute/{edge}/{edge}")
        allowed = client.get("/v2/aggs/ticker/AAPL/range/1/minute/2026-11-25/2026-11-25")

    assert denied.status_code == 403
    assert denied.json()["message"].startswith("Your plan doesn't include this data timeframe.")
    assert allowed.status_code == 200


def test_6_6_an_answer_without_data_has_no_results_key(massive: httpx2.Client) -> None:
    answer = massive.get(f"/v2/aggs/ticker/UNKNOWN/range/1/minute/{DAY}/{DAY}").json()

    assert (answer["status"], answer["resultsCount"]) == ("OK", 0)
    assert "results" not in answer


def test_6_6_a_delayed_plan_says_so_in_every_status() -> None:
    with asking(plan={"status": "DELAYED"}) as (client, _):
        statuses = {client.get(path).json()["status"] for path in (RANGE, "/v3/reference/tickers")}

    assert statuses == {"DELAYED"}


def test_6_6_a_gateway_answers_html() -> None:
    with faulty("server_error", status=502, body="html") as client:
        answer = client.get(RANGE)

    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"


def test_6_6_html_comes_with_status_200() -> None:
    with faulty("html") as client:
        answer = client.get(RANGE)

    assert (answer.status_code, answer.text[:6]) == (200, "<html>")


def test_6_6_a_gzip_body_is_cut_in_two() -> None:
    with faulty("truncated_gzip") as client:
        with client.stream("GET", RANGE) as answer:
            raw = b"".join(answer.iter_raw())
        encoding = answer.headers["content-encoding"]

    assert encoding == "gzip"
    with pytest.raises(EOFError):
        gzip.decompress(raw)


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


def test_6_6_a_next_url_loops() -> None:
    with faulty("looping_next_url") as client:
        first = client.get(RANGE).json()
        second = client.get(first["next_url"]).json()

    assert first["next_url"] == second["next_url"]


def test_6_6_a_next_url_leads_to_a_foreign_host() -> None:
    with faulty("foreign_next_url") as client:
        answer = client.get(RANGE).json()

    assert answer["next_url"].startswith("http://foreign.invalid/")


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


@pytest.mark.parametrize(
    ("kind", "spoiled"),
    [
        ("nan", lambda bar: math.isnan(bar["c"])),
        ("negative", lambda bar: bar["v"] < 0),
        ("huge", lambda bar: bar["h"] == 1e300),
        ("text", lambda bar: bar["o"] == "n/a"),
        ("upside_down", lambda bar: bar["h"] < bar["l"]),
        ("unaligned", lambda bar: bar["t"] % 60_000 == 1),
    ],
)
def test_6_6_absurd_values_come_among_good_ones(kind: str, spoiled: Any) -> None:
    with faulty("absurd", values=[kind]) as client:
        bars = json.loads(client.get(RANGE).text)["results"]

    assert spoiled(bars[0])
    assert len(bars) == 390


def test_6_6_an_answer_is_slow() -> None:
    with faulty("slow", delay_s=0.4) as client:
        started = time.perf_counter()
        client.get(RANGE)

    assert time.perf_counter() - started >= 0.4


@pytest.mark.parametrize("kind", ["reset", "cut"])
def test_6_6_a_connection_breaks_before_and_within_the_body(kind: str) -> None:
    with faulty(kind) as client, pytest.raises(httpx2.TransportError):
        client.get(RANGE)


@pytest.mark.parametrize("kind", ["malformed", "empty_body"])
def test_6_6_a_body_is_no_json(kind: str) -> None:
    with faulty(kind) as client:
        answer = client.get(RANGE)

    with pytest.raises(ValueError, match=r"Expecting|delimiter"):
        answer.json()


def test_6_6_a_fault_strikes_the_requests_it_names_and_no_others() -> None:
    fault = {"path": "/range/", "after": 1, "count": 2, "status": 503}
    with faulty("server_error", **fault) as client:
        statuses = [client.get(RANGE).status_code for _ in range(5)]
        other = client.get("/v3/reference/tickers").status_code

    assert statuses == [200, 503, 503, 200, 200]
    assert other == 200


def test_6_6_a_seeded_probability_strikes_the_same_requests_again() -> None:
    def struck() -> list[int]:
        with faulty("server_error", probability=0.5) as client:
            return [client.get(RANGE).status_code for _ in range(12)]

    first, second = struck(), struck()

    assert first == second
    assert set(first) == {200, 502}


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


def test_a_key_is_taken_from_the_header_or_the_query(simulator: Simulator) -> None:
    url = simulator.rest_url + RANGE
    key = simulator.keys.massive[0]

    given = [
        httpx2.get(url),
        httpx2.get(url, headers={"Authorization": "Bearer wrong"}),
        httpx2.get(f"{url}?apiKey={key}"),
    ]

    assert [answer.status_code for answer in given] == [401, 401, 200]
    assert given[0].json()["error"] == "API Key was not provided"
    assert given[1].json()["error"] == "Unknown API Key"


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


def test_requests_are_counted_and_faults_changed_while_it_runs() -> None:
    with asking() as (client, simulator):
        client.get(RANGE)
        simulator.set_faults([Fault(kind="html")])
        simulator.set_denied([Denial(path="/v3/")])
        answers = [client.get(RANGE), client.get("/v3/reference/tickers")]
        posted = client.post("/_simulator/script", json={"faults": [], "denied": []})
        healed = client.get(RANGE)
        refused = client.post("/_simulator/script", json={"faults": [{"kind": "nonsense"}]})
        stats = client.get("/_simulator/stats").json()

    assert answers[0].headers["content-type"] == "text/html"
    assert answers[1].status_code == 403
    assert (posted.status_code, healed.status_code) == (200, 200)
    assert refused.status_code == 400
    assert "nonsense" in refused.json()["error"]
    ranged = "massive /v2/aggs/ticker/{symbol}/range/{multiplier}/{timespan}/{first}/{last}"
    assert stats["requests"][ranged] == 3
    assert stats["requests"]["massive status 403"] == 1


def test_trades_on_rest_are_the_trades_of_the_minute(massive: httpx2.Client) -> None:
    first, end = (at_ms(DAY, clock) * 1_000_000 for clock in ("10:00", "10:01"))
    query = f"timestamp.gte={first}&timestamp.lt={end}&order=asc"

    trades = massive.get(f"/v3/trades/AAPL?{query}").json()["results"]
    bar = massive.get(f"/v2/aggs/ticker/AAPL/range/1/minute/{first // 10**6}/{first // 10**6}")

    truth = bar.json()["results"][0]
    assert trades[0]["price"] == truth["o"]
    assert trades[-1]["price"] == truth["c"]
    assert sum(float(trade["decimal_size"]) for trade in trades) == pytest.approx(truth["v"])


def test_the_official_client_reads_bars_with_absurd_values_among_them() -> None:
    with asking(faults=[{"kind": "absurd"}]) as (_, simulator):
        client = massive.RESTClient(simulator.keys.massive[0], base=simulator.rest_url)
        bars = client.get_aggs("AAPL", 1, "minute", DAY, DAY)
        client.client.clear()

    assert len(bars) == 390


def test_grouped_days_hold_every_symbol_that_traded(
    massive: httpx2.Client, simulator: Simulator
) -> None:
    path = f"/v2/aggs/grouped/locale/us/market/stocks/{HALF_DAY}?adjusted=false"

    rows = pl.DataFrame(massive.get(path).json()["results"])
    truth = simulator.market.daily_bars(HALF_DAY)

    assert rows["T"].to_list() == truth["symbol"].to_list()
    assert rows["c"].to_list() == truth["close"].to_list()
    assert rows["v"].to_list() == truth["volume"].to_list()
