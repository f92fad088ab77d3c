"""What is Massive's own: paging, delays, three instants for one day, recorded bodies."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from stock_platform.domain.revision import Revision
from stock_platform.errors import InvalidDataError, NotEntitledError, TransientError
from stock_platform.providers.massive.bars import MassiveBars
from stock_platform.providers.massive.paging import PAGES_MAX, error_text
from stock_platform.providers.transport.client import HttpClient
from stock_platform.testing.loopback import CannedResponse, ReceivedRequest, Vendor, as_json
from stock_platform.testing.providers import OPEN, SESSION
from stock_platform_tests.providers.stages import SETTLING
from stock_platform_tests.shared_data import PROTOCOL

Connect = Callable[..., HttpClient]
LAST = OPEN + timedelta(minutes=389)
NEXT_DAY = OPEN + timedelta(days=1)
ROW = {"o": 1.5, "h": 2, "l": 1, "c": 1.25, "v": 10, "n": 2}


@pytest.fixture
def opened(connect: Connect) -> Callable[..., MassiveBars]:
    def source(now: datetime = NEXT_DAY) -> MassiveBars:
        return MassiveBars(connect(complaint=error_text), SETTLING, clock=lambda: now)

    return source


def page(*offsets: int, **more: object) -> CannedResponse:
    rows = [
        {**ROW, "t": int((OPEN + timedelta(minutes=offset)).timestamp() * 1000)}
        for offset in offsets
    ]
    return as_json({"ticker": "AAPL", "status": "OK", "results": rows, **more})


def recorded(start: str) -> dict[str, object]:
    """Read a recorded body as if it had been asked for unadjusted."""
    [path] = PROTOCOL.glob(f"{start}*.json")
    return {**json.loads(path.read_text()), "adjusted": False}


def test_bars_are_asked_for_as_traded_in_milliseconds(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    opened().minute_bars("BF/B", SESSION, OPEN, LAST)

    [heard] = vendor.received
    assert heard.path == (
        "/v2/aggs/ticker/BF%2FB/range/1/minute/"
        f"{int(OPEN.timestamp() * 1000)}/{int(LAST.timestamp() * 1000)}"
    )
    assert heard.query == {"adjusted": "false", "sort": "asc", "limit": "50000"}


def test_pages_are_followed_on_our_own_host_with_the_key(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    following = "https://api.massive.com/v2/aggs/ticker/AAPL/range/1/minute/1/2?cursor=bGltaXQ9Mg"
    vendor.script = [page(0, 1, next_url=following), page(2)]

    response = opened().minute_bars("AAPL", SESSION, OPEN, LAST)

    assert response.bars.height == 3
    assert vendor.received[1].target == "/v2/aggs/ticker/AAPL/range/1/minute/1/2?cursor=bGltaXQ9Mg"
    assert "Authorization" in vendor.received[1].headers


def test_a_key_in_next_url_is_not_sent_along(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    following = "https://x/v2/aggs/ticker/AAPL/range/1/minute/1/2?cursor=a&apiKey=secret"
    vendor.script = [page(0, next_url=following), page(1)]

    opened().minute_bars("AAPL", SESSION, OPEN, LAST)

    assert vendor.received[1].query == {"cursor": "a"}


LOST = {
    "itself": "https://api.massive.com/v2/aggs/ticker/AAPL/range/1/minute/1/2?cursor=same",
    "another endpoint": "https://api.massive.com/v3/trades/AAPL?cursor=x",
    "a foreign site": "https://evil.example/collect?cursor=x",
    "a broken address": "http://[::1",
    "a number": 5,
    "a local file": "file:///etc/passwd",
}


@pytest.mark.parametrize("following", LOST.values(), ids=LOST)
def test_paging_that_loops_or_leads_astray_is_malformed(
    following: object, vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: page(0, next_url=following)

    with pytest.raises(InvalidDataError):
        opened().minute_bars("AAPL", SESSION, OPEN, LAST)

    assert len(vendor.received) <= 2


def test_paging_that_never_ends_is_malformed(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    def onward(heard: ReceivedRequest) -> CannedResponse:
        cursor = len(vendor.received)
        return page(0, next_url=f"https://x/v2/aggs/ticker/AAPL/range/1/minute/1/2?cursor={cursor}")

    vendor.response = onward

    with pytest.raises(InvalidDataError, match="pages"):
        opened().minute_bars("AAPL", SESSION, OPEN, LAST)

    assert len(vendor.received) == PAGES_MAX + 1


def test_a_delayed_plan_proves_nothing_about_its_last_fifteen_minutes(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: page(0, 1, status="DELAYED")
    now = OPEN + timedelta(minutes=30)

    response = opened(now).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert response.last == OPEN + timedelta(minutes=14)
    assert response.bars.height == 2


def test_a_delayed_plan_asked_too_early_is_transient_until_it_can_know(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: page(status="DELAYED")
    now = OPEN + timedelta(minutes=10)

    with pytest.raises(TransientError) as caught:
        opened(now).minute_bars("AAPL", SESSION, OPEN, LAST)

    assert caught.value.delay_s == 360


REFUSED_BODIES = {
    "adjusted": {"adjusted": True},
    "another symbol": {"ticker": "AAPl"},
    "rows announced and not sent": {"results": None, "resultsCount": 5},
    "no status": {"status": None},
}


@pytest.mark.parametrize("wrong", REFUSED_BODIES.values(), ids=REFUSED_BODIES)
def test_an_answer_to_another_question_is_malformed(
    wrong: dict[str, object], vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: page(0, **wrong)

    with pytest.raises(InvalidDataError):
        opened().minute_bars("AAPL", SESSION, OPEN, LAST)


def test_a_plan_that_does_not_reach_so_far_back_refuses(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    said = {"status": "NOT_AUTHORIZED", "message": "Your plan doesn't include this data timeframe."}
    vendor.response = lambda _: as_json(said, status=403)

    with pytest.raises(NotEntitledError, match="timeframe"):
        opened().minute_bars("AAPL", SESSION, OPEN, LAST)


def test_a_recorded_range_of_days_lands_on_its_sessions(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: as_json(recorded("v2_aggs_ticker_AAPL_range_1_day_2005-04-01"))

    response = opened().daily_bars_of("AAPL", date(2005, 4, 1), date(2005, 4, 4))

    row = response.bars.row(0, named=True)
    assert response.bars["session"].to_list() == [date(2005, 4, 1), date(2005, 4, 4)]
    assert (row["vwap"], row["volume"], row["transactions"]) == (
        Decimal("1.469"),
        Decimal("642646396"),
        82132,
    )


def test_a_recorded_grouped_day_is_stamped_with_its_close(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: as_json(recorded("v2_aggs_grouped"))

    # The recording's 1602705600000 is 16:00 New York of 2020-10-14, whatever its file name says.
    response = opened().daily_bars(date(2020, 10, 14))

    assert response.bars.select("symbol", "session").rows() == [("GIK", date(2020, 10, 14))]
    assert response.symbols is None


def test_a_grouped_row_of_another_day_is_refused(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    vendor.response = lambda _: as_json(recorded("v2_aggs_grouped"))

    response = opened().daily_bars(date(2020, 10, 15))

    assert response.bars.is_empty()
    assert response.rejected["reason"].to_list() == ["outside the sessions asked for"]


def test_a_grouped_day_before_its_close_waits_for_it(
    vendor: Vendor, opened: Callable[..., MassiveBars]
) -> None:
    with pytest.raises(TransientError) as caught:
        opened(OPEN).daily_bars(SESSION)

    assert caught.value.delay_s == 390 * 60


@pytest.mark.parametrize(
    ("asked_at", "revision"),
    [
        (datetime(2026, 11, 20, 22, 0, tzinfo=UTC), Revision.REST),
        (datetime(2026, 11, 21, 1, 20, tzinfo=UTC), Revision.FINAL),
    ],
    ids=["during the after-hours", "twenty minutes after them"],
)
def test_a_daily_bar_settles_after_the_after_hours(
    asked_at: datetime,
    revision: Revision,
    vendor: Vendor,
    opened: Callable[..., MassiveBars],
) -> None:
    response = opened(asked_at).daily_bars(SESSION)

    assert response.revision is revision
