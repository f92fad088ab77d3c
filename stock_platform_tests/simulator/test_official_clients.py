"""The vendors' own clients, unchanged, against the simulator."""

import asyncio
import gzip
from collections.abc import Iterator
from datetime import date
from urllib.parse import urlsplit

import boto3
import finnhub
import massive
import polars as pl
import pytest
import requests
from massive.exceptions import BadResponse
from massive.rest.models import TickerDetails
from massive.websocket import WebSocketClient
from massive.websocket.models import EquityAgg, EquityTrade

from stock_platform.simulator.server import Simulator, running

DAY = date(2026, 11, 24)


@pytest.fixture
def rest(simulator: Simulator) -> Iterator[massive.RESTClient]:
    client = massive.RESTClient(simulator.keys.massive[0], base=simulator.rest_url)
    yield client
    client.client.clear()


@pytest.fixture
def quotes(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[finnhub.Client]:
    monkeypatch.setattr(finnhub.Client, "API_URL", simulator.finnhub_url)
    with finnhub.Client(simulator.keys.finnhub[0]) as client:
        yield client


def test_massive_pages_through_a_range(rest: massive.RESTClient, simulator: Simulator) -> None:
    truth = simulator.market.bars_of("AAPL", DAY)

    bars = list(rest.list_aggs("AAPL", 1, "minute", DAY, DAY, adjusted=False, limit=100))

    assert [(bar.timestamp, bar.open, bar.volume, bar.transactions) for bar in bars] == list(
        truth.select(pl.col("minute").dt.epoch("ms"), "open", "volume", "transactions").iter_rows()
    )


def test_massive_reads_every_reference_endpoint(rest: massive.RESTClient) -> None:
    tickers = list(rest.list_tickers(market="stocks", limit=3))
    details = rest.get_ticker_details("BRK.B")
    splits = list(rest.list_splits(limit=10))
    modern = list(rest.list_stocks_splits(limit=100))
    dividends = list(rest.list_dividends(limit=10))

    assert [ticker.ticker for ticker in tickers] == [
        "AAPL",
        "BF/B",
        "BRK.B",
        "MSFT",
        "NA",
        "NULL",
        "QUBT",
    ]
    assert isinstance(details, TickerDetails)
    assert details.list_date == "2003-09-10"
    assert [(split.ticker, split.split_to) for split in splits] == [("MSFT", 4)]
    assert modern[0].adjustment_type == "forward_split"
    assert dividends[0].dividend_type == "CD"


def test_massive_reads_daily_endpoints(rest: massive.RESTClient, simulator: Simulator) -> None:
    day = simulator.market.daily_bars(DAY)

    grouped = rest.get_grouped_daily_aggs(DAY, adjusted=False)
    open_close = rest.get_daily_open_close_agg("AAPL", DAY, adjusted=False)
    [previous] = rest.get_previous_close_agg("AAPL")

    assert [bar.ticker for bar in grouped] == day["symbol"].to_list()
    assert open_close.close == day.filter(symbol="AAPL")["close"][0]
    assert open_close.pre_market is not None
    assert previous.ticker == "AAPL"


def test_massive_reads_snapshots_ticks_and_status(rest: massive.RESTClient) -> None:
    snapshots = rest.get_snapshot_all("stocks", tickers=["AAPL", "MSFT"])
    one = rest.get_snapshot_ticker("stocks", "AAPL")
    universal = list(rest.list_universal_snapshots(ticker_any_of=["AAPL", "MSFT"]))
    trades = [trade for trade, _ in zip(rest.list_trades("AAPL", limit=50), range(120))]  # noqa: B905 - more than one page, not all
    status = rest.get_market_status()
    holidays = rest.get_market_holidays()

    assert [snapshot.ticker for snapshot in snapshots] == ["AAPL", "MSFT"]
    assert one.last_trade.price == rest.get_last_trade("AAPL").price
    assert rest.get_last_quote("AAPL").ask_price > rest.get_last_quote("AAPL").bid_price
    assert [row.ticker for row in universal] == ["AAPL", "MSFT"]
    times = [trade.sip_timestamp for trade in trades]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 120
    assert status.market == "closed"
    assert {holiday.exchange for holiday in holidays} == {"NYSE", "NASDAQ"}


def test_massive_raises_the_vendors_words_for_a_wrong_key(simulator: Simulator) -> None:
    client = massive.RESTClient("wrong", base=simulator.rest_url)

    with pytest.raises(BadResponse, match="Unknown API Key"):
        client.get_ticker_details("AAPL")

    client.client.clear()


def test_massive_streams_bars_and_trades_until_the_server_closes() -> None:
    scenario = {
        "market": {"synthetic": {"symbols": ["AAPL", "MSFT"], "first": DAY, "last": DAY}},
        "feed": {"close_after_frames": 300, "close_kind": "close_1000"},
    }
    with running(scenario) as simulator:
        client = WebSocketClient(
            simulator.keys.massive[0],
            feed=urlsplit(simulator.ws_url_realtime).netloc,
            secure=False,
            subscriptions=["AM.*", "T.MSFT"],
        )
        got: list[object] = []
        client.run(got.extend)
        truth = simulator.market.minute_bars(DAY)

    bars = [event for event in got if isinstance(event, EquityAgg)]
    trades = [event for event in got if isinstance(event, EquityTrade)]
    known = truth.select("symbol", pl.col("minute").dt.epoch("ms")).iter_rows()
    assert {(bar.symbol, bar.start_timestamp) for bar in bars} <= set(known)
    assert len(bars) > 100
    assert {trade.symbol for trade in trades} == {"MSFT"}


def test_massive_reconnects_after_a_reset_and_goes_on() -> None:
    scenario = {
        "market": {"synthetic": {"symbols": ["AAPL"], "first": DAY, "last": DAY}},
        "feed": {"close_after_frames": 100, "close_kind": "reset"},
    }
    with running(scenario) as simulator:
        got: list[object] = []
        asyncio.run(_stream_until_finished(simulator, got))

    assert len({bar.start_timestamp for bar in got if isinstance(bar, EquityAgg)}) > 350


async def _stream_until_finished(simulator: Simulator, got: list[object]) -> None:
    async def keep(events: list[object]) -> None:
        got.extend(events)

    client = WebSocketClient(
        simulator.keys.massive[0],
        feed=urlsplit(simulator.ws_url_realtime).netloc,
        secure=False,
        subscriptions=["AM.*"],
    )
    streaming = asyncio.create_task(client.connect(keep))
    await asyncio.to_thread(simulator.finished.wait, 20)
    await asyncio.sleep(0.3)
    await client.close()
    await asyncio.wait([streaming], timeout=5)


def test_finnhub_reads_quotes_candles_and_the_calendar(
    quotes: finnhub.Client, simulator: Simulator
) -> None:
    last = simulator.market.sessions[-1]
    bars = simulator.market.bars_of("AAPL", last)
    first, final = (int(bars["minute"][n].timestamp()) for n in (0, -1))

    quote = quotes.quote("AAPL")
    candles = quotes.stock_candles("AAPL", "1", first, final)

    assert quote["c"] == bars["close"][-1]
    assert candles["s"] == "ok"
    assert candles["o"] == bars["open"].to_list()
    assert quotes.market_status(exchange="US")["isOpen"] is False
    assert quotes.market_holiday(exchange="US")["data"]
    assert [row["symbol"] for row in quotes.stock_symbols("US")][:2] == ["AAPL", "BF/B"]
    assert quotes.stock_splits("MSFT", _from="2026-11-01", to="2026-12-01")[0]["toFactor"] == 4


def test_finnhub_raises_for_a_wrong_key(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finnhub.Client, "API_URL", simulator.finnhub_url)

    with finnhub.Client("wrong") as client, pytest.raises(finnhub.FinnhubAPIException) as raised:
        client.quote("AAPL")

    assert raised.value.status_code == 401


def test_a_plain_s3_client_reads_a_flat_file(simulator: Simulator) -> None:

    s3 = boto3.client(
        "s3",
        endpoint_url=simulator.flatfiles_url,
        aws_access_key_id=simulator.keys.flatfiles[0],
        aws_secret_access_key="any",
        region_name="us-east-1",
    )
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="flatfiles", Prefix="us_stocks_sip/minute_aggs_v1/", PaginationConfig={"PageSize": 2}
    )
    keys = [entry["Key"] for page in pages for entry in page["Contents"]]

    body = s3.get_object(Bucket="flatfiles", Key=keys[1])["Body"].read()

    assert len(keys) == len(simulator.market.sessions)
    assert gzip.decompress(body).startswith(
        b"ticker,volume,open,close,high,low,window_start,transactions\n"
    )
    s3.close()


def test_requests_gets_json_of_the_right_type(simulator: Simulator) -> None:
    answer = requests.get(
        f"{simulator.rest_url}/v1/marketstatus/now",
        params={"apiKey": simulator.keys.massive[0]},
        timeout=5,
    )

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["market"] == "closed"
