"""From settings to sources."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stock_platform.errors import PermanentError
from stock_platform.providers.rate_limit import budget_location
from stock_platform.providers.registry import open_providers
from stock_platform.settings import (
    FinnhubSettings,
    LakeSettings,
    MassiveSettings,
    RapidSettings,
    RequestSettings,
    Settings,
)
from stock_platform.testing.loopback import Vendor
from stock_platform.testing.providers import OPEN, SESSION, sample_minutes
from stock_platform_tests.providers.conftest import CANARY, NOON
from stock_platform_tests.providers.stages import MassiveStage

KEY = {"api_key": CANARY}
Configured = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MASSIVE_", "POLYGON_", "FINNHUB_", "RAPIDAPI_", "STOCKS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    def settings(
        *,
        massive: dict[str, object] | None = None,
        finnhub: dict[str, object] | None = None,
        rapid: dict[str, object] | None = None,
        requests: dict[str, object] | None = None,
    ) -> Settings:
        return Settings.from_env().replaced(
            massive=MassiveSettings.model_validate(massive or {}),
            finnhub=FinnhubSettings.model_validate(finnhub or {}),
            rapid=RapidSettings.model_validate(rapid or {}),
            requests=RequestSettings.model_validate(requests or {}),
            lake=LakeSettings(lake=str(tmp_path / "lake")),
        )

    return settings


def names(sources: list[object]) -> list[str]:
    return [str(source.name) for source in sources]  # type: ignore[attr-defined]


def test_without_any_provider_the_message_says_what_to_set(configured: Configured) -> None:
    with (
        pytest.raises(PermanentError, match=r"MASSIVE_API_KEY.*FINNHUB_API_KEY.*RAPIDAPI_KEY"),
        open_providers(configured()),
    ):
        pass


def test_without_a_provider_no_file_is_made(configured: Configured, tmp_path: Path) -> None:
    with pytest.raises(PermanentError), open_providers(configured()):
        pass

    assert list(tmp_path.iterdir()) == []


def test_every_configured_provider_is_there_the_preferred_first(configured: Configured) -> None:
    settings = configured(
        massive={**KEY, "flatfiles_access_key": "a", "flatfiles_secret_key": "b"},
        finnhub={**KEY, "candles": True},
        rapid={"key": CANARY, "url": "https://x.p.rapidapi.com/q/{symbol}"},
    )

    with open_providers(settings) as providers:
        found = {
            kind: names(getattr(providers, kind))
            for kind in ("minute", "session", "daily", "quotes", "reference")
        }

    assert found == {
        "minute": ["massive", "finnhub"],
        "session": ["massive_flatfiles"],
        "daily": ["massive", "massive_flatfiles", "finnhub"],
        "quotes": ["massive", "finnhub", "rapidapi"],
        "reference": ["massive"],
    }


def test_finnhub_gives_bars_only_where_the_plan_has_them(configured: Configured) -> None:
    with open_providers(configured(finnhub=KEY)) as providers:
        assert (names(providers.quotes), providers.minute) == (["finnhub"], [])


def test_the_free_plans_budget_is_told_to_the_planner(configured: Configured) -> None:
    settings = configured(massive={**KEY, "requests_per_minute": 5})

    with open_providers(settings) as providers:
        assert providers.requests_per_minute == 5


def test_the_environment_is_read_under_the_old_names_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: Vendor
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", CANARY)
    monkeypatch.setenv("POLYGON_REST_URL", vendor.url)
    monkeypatch.setenv("STOCKS_LAKE", str(tmp_path / "lake"))
    MassiveStage().say(vendor, sample_minutes(0))

    with open_providers(Settings.from_env(), clock=lambda: NOON) as providers:
        response = providers.minute[0].minute_bars("AAPL", SESSION, OPEN, OPEN)

    assert response.bars.height == 1
    assert vendor.received[0].headers["Authorization"] == f"Bearer {CANARY}"


def test_the_rapidapi_host_is_the_urls_or_a_setting(configured: Configured, vendor: Vendor) -> None:
    rapid = {
        "key": CANARY,
        "url": f"{vendor.url}/q/{{symbol}}?region=US",
        "host": "x.p.rapidapi.com",
    }

    with open_providers(configured(rapid=rapid)) as providers:
        providers.quotes[0].quotes(["A"], OPEN)

    headers = vendor.received[0].headers
    assert (headers["X-RapidAPI-Host"], headers["X-RapidAPI-Key"]) == ("x.p.rapidapi.com", CANARY)
    assert vendor.received[0].target == "/q/A?region=US"


def test_a_url_that_is_none_is_permanent(configured: Configured) -> None:
    settings = configured(rapid={"key": CANARY, "url": "ftp://x/{symbol}"})

    with pytest.raises(PermanentError, match="RAPIDAPI_URL"), open_providers(settings):
        pass


def test_budgets_are_beside_a_local_lake_and_elsewhere_by_setting(
    configured: Configured, tmp_path: Path
) -> None:
    beside = budget_location(configured())
    elsewhere = budget_location(configured(requests={"budget": "redis://127.0.0.1/3"}))

    assert beside == str(tmp_path / "lake" / ".requests" / "budget.sqlite")
    assert elsewhere == "redis://127.0.0.1/3"


def test_settings_print_no_key(configured: Configured) -> None:
    settings = configured(massive=KEY, finnhub=KEY, rapid={"key": CANARY})

    concerns = (settings.massive, settings.finnhub, settings.rapid)
    assert CANARY not in f"{settings!r} {settings} {concerns!r}"
