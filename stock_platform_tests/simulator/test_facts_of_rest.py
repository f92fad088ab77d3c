"""PROVIDERS.md section 6, item 6: how Massive's REST fails and refuses."""

import gzip
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import massive
import pytest

from stock_platform.simulator.scenario import Denial, Fault
from stock_platform.simulator.server import Simulator
from stock_platform_tests.simulator.rest_client import DAY, RANGE, asking, at_ms


@contextmanager
def faulty(kind: str, **fault: Any) -> Iterator[httpx2.Client]:
    with asking(faults=[{"kind": kind, **fault}]) as (client, _):
        yield client


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


def test_6_6_a_next_url_loops() -> None:
    with faulty("looping_next_url") as client:
        first = client.get(RANGE).json()
        second = client.get(first["next_url"]).json()

    assert first["next_url"] == second["next_url"]


def test_6_6_a_next_url_leads_to_a_foreign_host() -> None:
    with faulty("foreign_next_url") as client:
        answer = client.get(RANGE).json()

    assert answer["next_url"].startswith("http://foreign.invalid/")


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


def test_the_official_client_reads_bars_with_absurd_values_among_them() -> None:
    with asking(faults=[{"kind": "absurd"}]) as (_, simulator):
        client = massive.RESTClient(simulator.keys.massive[0], base=simulator.rest_url)
        bars = client.get_aggs("AAPL", 1, "minute", DAY, DAY)
        client.client.clear()

    assert len(bars) == 390


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
