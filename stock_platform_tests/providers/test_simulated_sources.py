"""The same sources against the project's simulator, configured as a person would."""

from collections.abc import Callable, Generator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stock_platform.domain import bars
from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import InvalidDataError, NotEntitledError, PlatformError, TransientError
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.settings import (
    FinnhubSettings,
    HealingSettings,
    LakeSettings,
    MarketSettings,
    MassiveSettings,
    RapidSettings,
    RequestSettings,
    Settings,
)
from stock_platform.simulator.scenario import Fault, FlatFile
from stock_platform.simulator.server import Simulator, running

SYMBOLS = ("AAPL", "BF/B", "BRK.B", "NA", "TRUE", "ZVZZT")
FIRST, LAST = date(2026, 11, 16), date(2026, 11, 18)
GRID = Calendar().grid(LAST)
FIRST_MINUTE, LAST_MINUTE = GRID.opens_at, GRID.minute(389)
SCRIPT = {
    "market": {
        "synthetic": {
            "symbols": list(SYMBOLS),
            "first": FIRST,
            "last": LAST,
            "splits": [{"symbol": "AAPL", "on": date(2026, 11, 17)}],
        }
    }
}
VALUES = ["symbol", "minute", "open", "high", "low", "close", "volume", "transactions"]


@pytest.fixture(scope="module")
def simulator() -> Generator[Simulator]:
    with running(SCRIPT) as opened:
        yield opened


@pytest.fixture
def providers(simulator: Simulator, tmp_path: Path) -> Generator[Providers]:
    told = simulator.environment()
    settings = Settings.from_env().replaced(
        massive=MassiveSettings.model_validate(_part(told, "MASSIVE_")),
        finnhub=FinnhubSettings.model_validate({**_part(told, "FINNHUB_"), "candles": True}),
        rapid=RapidSettings.model_validate(_part(told, "RAPIDAPI_")),
        requests=RequestSettings.model_validate(
            {"attempts_max": 2, "retry_backoff_s": 0.001, "retry_wait_max_s": 0.01}
        ),
        market=MarketSettings(),
        healing=HealingSettings(),
        lake=LakeSettings(lake=str(tmp_path)),
    )
    with open_providers(settings) as opened:
        yield opened
    simulator.set_faults([])
    simulator.set_flatfiles([])


def _part(told: dict[str, str], prefix: str) -> dict[str, str]:
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in told.items()
        if name.startswith(prefix)
    }


def truth(simulator: Simulator, session: date = LAST) -> pl.DataFrame:
    money = pl.selectors.float().cast(pl.String).cast(bars.PRICE)
    return simulator.market.minute_bars(session).with_columns(money)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_massive_gives_a_symbols_minutes_as_they_are(
    symbol: str, providers: Providers, simulator: Simulator
) -> None:
    response = providers.minute[0].minute_bars(symbol, LAST, FIRST_MINUTE, LAST_MINUTE)

    expected = truth(simulator).filter(symbol=symbol)
    assert_frame_equal(response.bars.select(VALUES), expected.select(VALUES))
    assert (response.revision, response.rejected.height) == (Revision.FINAL, 0)


def test_finnhub_gives_the_same_minutes(providers: Providers, simulator: Simulator) -> None:
    response = providers.minute[1].minute_bars("AAPL", LAST, FIRST_MINUTE, LAST_MINUTE)

    expected = truth(simulator).filter(symbol="AAPL")
    assert_frame_equal(response.bars.select(VALUES[:-1]), expected.select(VALUES[:-1]))


def test_a_flat_file_gives_every_minute_of_every_symbol(
    providers: Providers, simulator: Simulator
) -> None:
    response = providers.session[0].session_minute_bars(LAST, GRID)

    assert_frame_equal(response.bars.select(VALUES), truth(simulator).select(VALUES))
    assert response.rejected.is_empty()


def test_a_replaced_flat_file_is_noticed(providers: Providers, simulator: Simulator) -> None:
    files = providers.session[0]
    before = files.fingerprint(LAST)

    simulator.set_flatfiles([FlatFile(session=LAST, version=2)])

    assert files.fingerprint(LAST) != before


FILES = {
    "not published": (FlatFile(session=LAST, published="no"), TransientError),
    "outside the plan": (FlatFile(session=LAST, published="forbidden"), NotEntitledError),
    "truncated": (FlatFile(session=LAST, truncated=True), InvalidDataError),
}


@pytest.mark.parametrize(("change", "kind"), FILES.values(), ids=FILES)
def test_each_state_of_a_flat_file_is_one_problem(
    change: FlatFile, kind: type[PlatformError], providers: Providers, simulator: Simulator
) -> None:
    simulator.set_flatfiles([change])

    with pytest.raises(kind):
        providers.session[0].session_minute_bars(LAST, GRID)


def test_all_sources_agree_on_a_day(providers: Providers, simulator: Simulator) -> None:
    massive, files, finnhub = providers.daily
    columns = ["symbol", "session", "open", "high", "low", "close"]

    grouped = massive.daily_bars(LAST).bars.select(columns)

    assert sorted(grouped["symbol"]) == sorted(set(truth(simulator)["symbol"]))
    assert_frame_equal(files.daily_bars(LAST).bars.select(columns), grouped)
    for source in (massive, files, finnhub):
        one = source.daily_bars_of("AAPL", LAST, LAST).bars.select(columns)
        assert_frame_equal(one, grouped.filter(symbol="AAPL"))


def test_prices_before_a_split_stay_as_traded_or_are_refused(providers: Providers) -> None:
    massive, _, finnhub = providers.daily

    traded = massive.daily_bars_of("AAPL", FIRST, LAST)
    adjusted = finnhub.daily_bars_of("AAPL", FIRST, LAST)

    closes = traded.bars["close"].cast(pl.Float64).to_list()
    assert closes[0] > 5 * closes[1]
    assert adjusted.bars["session"].to_list() == [date(2026, 11, 17), LAST]
    assert adjusted.rejected.height == 1


def test_reference_data_is_complete(providers: Providers) -> None:
    [reference] = providers.reference

    assert set(reference.symbols(LAST)["symbol"]) == set(SYMBOLS)
    assert reference.splits(FIRST, LAST).select("symbol", "split_to").rows() == [("AAPL", 10.0)]
    assert set(reference.dividends(FIRST, LAST)["symbol"]) <= set(SYMBOLS)
    assert reference.market_status().market in {"open", "closed", "extended-hours"}


def test_every_quote_source_knows_the_symbols_and_not_the_stranger(providers: Providers) -> None:
    minute = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    responses = [source.quotes([*SYMBOLS, "NOBODY"], minute) for source in providers.quotes]

    assert [set(response.quotes["symbol"]) for response in responses] == [set(SYMBOLS)] * 3
    assert all(response.absent or response.rejected.height for response in responses)


FAULTS = {
    "429": (Fault(kind="too_many_requests"), TransientError),
    "429 with an empty body": (Fault(kind="too_many_requests", body="empty"), TransientError),
    "502": (Fault(kind="server_error"), TransientError),
    "503 with HTML": (Fault(kind="server_error", status=503, body="html"), TransientError),
    "HTML with 200": (Fault(kind="html"), TransientError),
    "truncated gzip": (Fault(kind="truncated_gzip"), TransientError),
    "reset": (Fault(kind="reset"), TransientError),
    "cut": (Fault(kind="cut"), TransientError),
    "looping next_url": (Fault(kind="looping_next_url"), InvalidDataError),
    "foreign next_url": (Fault(kind="foreign_next_url"), InvalidDataError),
    "malformed": (Fault(kind="malformed"), InvalidDataError),
    "empty body": (Fault(kind="empty_body"), InvalidDataError),
    "an error object": (Fault(kind="error_object"), InvalidDataError),
    "forbidden": (Fault(kind="forbidden"), NotEntitledError),
}


@pytest.mark.parametrize(("fault", "kind"), FAULTS.values(), ids=FAULTS)
def test_each_fault_of_massive_is_one_problem(
    fault: Fault, kind: type[PlatformError], providers: Providers, simulator: Simulator
) -> None:
    simulator.set_faults([fault])

    with pytest.raises(PlatformError) as caught:
        providers.minute[0].minute_bars("AAPL", LAST, FIRST_MINUTE, LAST_MINUTE)

    assert type(caught.value) is kind


def test_absurd_rows_are_refused_and_the_others_stay(
    providers: Providers, simulator: Simulator
) -> None:
    simulator.set_faults([Fault(kind="absurd")])

    response = providers.minute[0].minute_bars("AAPL", LAST, FIRST_MINUTE, LAST_MINUTE)

    sane = truth(simulator).filter(symbol="AAPL").join(response.bars, on="minute", how="semi")
    assert response.rejected.height == 6
    assert_frame_equal(response.bars.select(VALUES), sane.select(VALUES))
    assert response.bars.height + 6 == truth(simulator).filter(symbol="AAPL").height


def test_a_quota_of_rapidapi_is_asked_for_once_by_all_processes(
    providers: Providers, simulator: Simulator
) -> None:
    simulator.set_faults([Fault(kind="quota", vendor="rapidapi")])
    rapid: Callable[..., object] = providers.quotes[2].quotes
    minute = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    for _ in range(3):
        with pytest.raises(TransientError):
            rapid(["AAPL"], minute)

    assert simulator.stats()["requests"]["rapidapi fault quota"] == 1
