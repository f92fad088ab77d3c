"""Foreign bytes: every parser gives an answer or raises one of the four problems."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stock_platform.domain import bars
from stock_platform.errors import InvalidDataError, PlatformError
from stock_platform.providers import finnhub, rapidapi
from stock_platform.providers.finnhub import FinnhubCandles, FinnhubQuotes, to_columns
from stock_platform.providers.massive import paging
from stock_platform.providers.massive.bars import MassiveBars
from stock_platform.providers.massive.flat_file_rows import (
    COLUMNS,
    parse_day_aggs,
    parse_minute_aggs,
)
from stock_platform.providers.massive.quotes import MassiveQuotes, to_quote
from stock_platform.providers.massive.reference import MassiveReference
from stock_platform.providers.quote_polling import validate_quotes
from stock_platform.providers.rapidapi import RapidQuotes
from stock_platform.providers.transport import json_values
from stock_platform.providers.transport.client import Endpoint
from stock_platform.providers.transport.http_errors import (
    HttpResponse,
    error_of_status,
    error_of_text,
)
from stock_platform.testing.providers import OPEN, SESSION
from stock_platform_tests.providers.stages import SETTLING

NOW = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)
LAST = OPEN + timedelta(minutes=389)

# Values as `wire.decode` gives them: fractions are text, constants are text.
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.sampled_from([1795188598, 1795188598000, "NaN", "Infinity", "1e999", "1.5", "AAPL"])
    | st.floats().map(str)
    | st.text(max_size=8)
)
WORDS = """
results tickers ticker T t o h l c v vw n s pc status resultsCount adjusted day min
prevDay lastTrade lastQuote updated p P data price error message execution_date
split_from split_to ex_dividend_date cash_amount pay_date frequency market serverTime
date open close next_url
"""
KEYS = st.sampled_from(WORDS.split())
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=20,
)
BARS = st.fixed_dictionaries(
    {"status": st.just("OK")},
    optional={
        "results": st.lists(st.dictionaries(KEYS, LEAVES, max_size=9), max_size=4) | JSON,
        "next_url": LEAVES,
        "adjusted": LEAVES,
        "resultsCount": LEAVES,
    },
)
CANDLES = st.fixed_dictionaries(
    {"s": st.just("ok")},
    optional={key: st.lists(LEAVES, min_size=2, max_size=2) for key in "tohlcv"},
)
FIELDS = {"price": "price", "high": "data.h", "quoted_at": "t", "symbol": "T"}


class Parrot:
    """Stands where `Http` stands and says the same to every question."""

    def __init__(self, body: object) -> None:
        self.endpoint = Endpoint(provider="parrot", url="http://127.0.0.1:1")
        self.body: Any = body

    def get_json(self, path: str, params: object = None) -> Any:
        return self.body


def tried(parse: Any) -> Any:
    try:
        return parse()
    except PlatformError:
        return None


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_json_or_malformed(body: bytes) -> None:
    tried(lambda: json_values.decode(body))


@given(st.integers(1, 10_000).map(lambda depth: b"[" * depth))
@settings(max_examples=10)
def test_depth_without_end_is_malformed(body: bytes) -> None:
    try:
        json_values.decode(body)
    except InvalidDataError:
        return
    raise AssertionError("expected Malformed")


@given(JSON | BARS)
@example({"status": []})
@example({"status": "OK", "results": [{"t": "9206082997390886.0"}]})
@settings(max_examples=300)
def test_massive_bars_are_an_answer_or_a_problem(body: object) -> None:
    source = MassiveBars(Parrot(body), SETTLING, clock=lambda: NOW)  # type: ignore[arg-type]

    minute = tried(lambda: source.minute_bars("AAPL", SESSION, OPEN, LAST))
    tried(lambda: source.daily_bars(SESSION))
    tried(lambda: source.daily_bars_of("AAPL", SESSION, SESSION))

    assert minute is None or minute.bars.schema == bars.MINUTE_BARS


@given(JSON | BARS)
@example([{"date": "2026-11-26", "status": []}])
@settings(max_examples=200)
def test_massive_reference_data_is_a_frame_or_a_problem(body: object) -> None:
    source = MassiveReference(Parrot(body), clock=lambda: NOW)  # type: ignore[arg-type]

    tried(lambda: source.symbols(SESSION))
    tried(lambda: source.splits(SESSION, SESSION))
    tried(lambda: source.dividends(SESSION, SESSION))
    tried(source.market_status)


@given(JSON | BARS)
@example({"status": "OK", "tickers": [{"ticker": []}]})
@settings(max_examples=200)
def test_polled_quotes_are_an_answer_or_a_problem(body: object) -> None:
    http: Any = Parrot(body)
    sources = [
        MassiveQuotes(http, clock=lambda: NOW),
        FinnhubQuotes(http, clock=lambda: NOW),
        RapidQuotes(http, "/{symbols}", FIELDS, clock=lambda: NOW),
    ]

    for source in sources:
        tried(lambda source=source: source.quotes(["AAPL", "MSFT"], OPEN))


@given(JSON | CANDLES)
@settings(max_examples=200)
def test_finnhub_candles_are_an_answer_or_a_problem(body: object) -> None:
    source = FinnhubCandles(Parrot(body), SETTLING, clock=lambda: NOW)  # type: ignore[arg-type]

    tried(lambda: source.minute_bars("AAPL", SESSION, OPEN, LAST))
    tried(lambda: source.daily_bars_of("AAPL", SESSION, SESSION))
    tried(lambda: to_columns(json_values.record(body, "candles")))


@given(st.lists(JSON, max_size=4))
@settings(max_examples=200)
def test_quotes_are_kept_or_refused_each_exactly_once(bodies: list[object]) -> None:
    raw = [tried(lambda body=body: to_quote(json_values.record(body, "x"))) for body in bodies]
    raw += [
        tried(lambda body=body: finnhub.to_quote("A", json_values.record(body, "x")))
        for body in bodies
    ]
    for body in bodies:
        rows = tried(lambda body=body: rapidapi.to_rows(body)) or []
        raw += [rapidapi.to_quote(row, FIELDS, requested=("A",)) for row in rows]
    rows = [{**row, "symbol": f"S{n}"} for n, row in enumerate(raw) if row]

    quotes, rejected = validate_quotes(rows, provider="p", minute=OPEN, observed_at=NOW)

    assert quotes.height + rejected.height == len(rows)


@given(JSON)
def test_complaints_are_text_or_none(body: object) -> None:
    for complaint in (paging.error_text, finnhub.error_text, rapidapi.error_text):
        said = complaint(body)  # type: ignore[arg-type]
        assert said is None or isinstance(error_of_text(said), PlatformError)


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-requests-reset"]), st.text(max_size=30)
    ),
    st.text(max_size=40),
)
def test_every_status_is_a_problem_or_200(status: int, headers: dict[str, str], said: str) -> None:
    problem = error_of_status(HttpResponse(status, headers, b"{}"), said, now=NOW)

    assert (problem is None) == (status == 200)


CELL = st.sampled_from(
    ["A", "NA", "1", "1.5", "-1", "NaN", "", "1e400", "1795188600000000000", '"']
)
ROWS = st.lists(st.lists(CELL | st.text(max_size=5), min_size=7, max_size=9), max_size=4).map(
    lambda rows: "\n".join([",".join(COLUMNS), *(",".join(row) for row in rows)]).encode(
        "utf-8", "replace"
    )
)

# A lone quote made polars' CSV reader panic.
LONE_QUOTES = st.sampled_from(['"', '\n"', '1,"', '"\n"']).map(
    lambda tail: f"{','.join(COLUMNS)}\n{tail}".encode()
)


@given(st.binary(max_size=200) | LONE_QUOTES | ROWS | ROWS.map(gzip.compress))
@settings(max_examples=300)
def test_a_flat_file_is_bars_and_refusals_or_malformed(data: bytes) -> None:
    parsed = tried(lambda: parse_minute_aggs(data, session=date(2026, 11, 20), observed_at=NOW))
    tried(lambda: parse_day_aggs(data, session=date(2026, 11, 20), observed_at=NOW))

    assert parsed is None or isinstance(parsed.rejected, pl.DataFrame)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 2_000))
def test_a_damaged_gzip_of_a_flat_file_is_never_half_an_answer(noise: bytes, at: int) -> None:
    lines = [",".join(COLUMNS), *(f"S{n},1,1,1,1,1,1795188600000000000,1" for n in range(300))]
    whole = gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)
    at = min(at, len(whole) - 1)
    damaged = whole[:at] + noise + whole[at + len(noise) :]

    parsed = tried(lambda: parse_minute_aggs(damaged, session=SESSION, observed_at=NOW))

    assert parsed is None or parsed.bars.height + parsed.rejected.height == 300
