"""Reference data from recorded bodies, paged, deprecated and odd."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from stock_platform.domain import reference
from stock_platform.errors import InvalidDataError
from stock_platform.providers.massive.paging import error_text
from stock_platform.providers.massive.reference import MassiveReference
from stock_platform.providers.sources import Closure
from stock_platform.providers.transport.client import HttpClient
from stock_platform.testing.loopback import CannedResponse, ReceivedRequest, Vendor, as_json
from stock_platform_tests.providers.conftest import NOON
from stock_platform_tests.shared_data import PROTOCOL

Connect = Callable[..., HttpClient]
FIRST, LAST = date(2022, 1, 1), date(2022, 12, 31)


@pytest.fixture
def source(connect: Connect) -> MassiveReference:
    return MassiveReference(connect(complaint=error_text), clock=lambda: NOON)


def recorded(name: str) -> CannedResponse:
    return as_json((PROTOCOL / f"{name}.json").read_text())


def test_recorded_tickers_are_paged_through(vendor: Vendor, source: MassiveReference) -> None:
    [second] = PROTOCOL.glob("v3_reference_tickers_cursor=*.json")
    vendor.script = [recorded("v3_reference_tickers"), as_json(second.read_text())]

    frame = source.symbols(date(2022, 4, 27))

    assert frame.schema == reference.SYMBOLS
    assert frame["symbol"].to_list() == ["A", "AA", "AAA", "AAAU"]
    assert frame["exchange"].to_list() == ["XNYS", "XNYS", "ARCX", "BATS"]
    assert vendor.received[0].query["date"] == "2022-04-27"
    assert vendor.received[1].query.keys() == {"cursor"}


def test_names_no_symbol_can_have_are_left_out(vendor: Vendor, source: MassiveReference) -> None:
    names = ["A", "../etc", "", None, 7, "B" * 300, "NA", "A", "\ud800"]
    rows = [{"ticker": name} for name in names]
    vendor.response = lambda _: as_json({"status": "OK", "results": rows})

    frame = source.symbols(date(2022, 4, 27))

    assert frame["symbol"].to_list() == ["A", "NA"]


def test_recorded_splits_are_read(vendor: Vendor, source: MassiveReference) -> None:
    vendor.response = lambda _: recorded("v3_reference_splits")

    frame = source.splits(FIRST, LAST)

    shop = frame.filter(symbol="SHOP").row(0, named=True)
    assert frame.schema == reference.SPLITS
    assert (shop["executed_on"], shop["split_from"], shop["split_to"]) == (
        date(2022, 6, 22),
        1.0,
        10.0,
    )
    assert vendor.received[0].path == "/stocks/v1/splits"
    assert vendor.received[0].query["execution_date.gte"] == "2022-01-01"


def test_recorded_dividends_are_read(vendor: Vendor, source: MassiveReference) -> None:
    vendor.response = lambda _: recorded("v3_reference_dividends")

    frame = source.dividends(FIRST, LAST)

    row = frame.row(-1, named=True)
    assert frame.schema == reference.DIVIDENDS
    assert (row["symbol"], row["ex_on"], row["amount"], row["kind"]) == (
        "CSSEN",
        date(2025, 6, 12),
        Decimal("0.59375"),
        "regular",
    )


def test_the_deprecated_endpoint_answers_where_the_new_one_is_missing(
    vendor: Vendor, source: MassiveReference
) -> None:
    def old_host(heard: ReceivedRequest) -> CannedResponse:
        old = heard.path.startswith("/v3/")
        return recorded("v3_reference_splits") if old else CannedResponse(body=b"", status=404)

    vendor.response = old_host

    frame = source.splits(FIRST, LAST)

    assert not frame.is_empty()
    assert [heard.path for heard in vendor.received] == [
        "/stocks/v1/splits",
        "/v3/reference/splits",
    ]


@pytest.mark.parametrize("factor", [0, -1, "NaN", None, "x"])
def test_a_split_by_nothing_is_left_out(
    factor: object, vendor: Vendor, source: MassiveReference
) -> None:
    row = {"ticker": "A", "execution_date": "2022-02-02", "split_from": 1, "split_to": factor}
    vendor.response = lambda _: as_json({"status": "OK", "results": [row]})

    assert source.splits(FIRST, LAST).is_empty()


def test_the_recorded_market_status_is_read(vendor: Vendor, source: MassiveReference) -> None:
    vendor.response = lambda heard: recorded(heard.path.strip("/").replace("/", "_"))

    status = source.market_status()

    early = next(closure for closure in status.upcoming if not closure.closed)
    assert (status.market, status.said_at) == (
        "extended-hours",
        datetime(2022, 4, 28, 20, 48, 8, tzinfo=UTC),
    )
    assert early == Closure(
        day=date(2022, 11, 25),
        exchange="NYSE",
        name="Thanksgiving",
        closed=False,
        opens_at=datetime(2022, 11, 25, 14, 30, tzinfo=UTC),
        closes_at=datetime(2022, 11, 25, 18, 0, tzinfo=UTC),
    )


def test_a_status_without_its_time_is_malformed(vendor: Vendor, source: MassiveReference) -> None:
    vendor.response = lambda _: as_json(json.dumps({"market": "open"}))

    with pytest.raises(InvalidDataError):
        source.market_status()
