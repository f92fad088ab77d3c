"""Providers of other packages: found, opened after ours, and left out when broken."""

import importlib.util
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from stock_platform.errors import PermanentError
from stock_platform.providers import registry
from stock_platform.providers.factory import ProviderContext, Providers
from stock_platform.settings import FinnhubSettings, LakeSettings, Settings
from stock_platform_tests.house.repository import ROOT
from stock_platform_tests.providers.conftest import CANARY

TEMPLATE = ROOT / "docs/templates/provider.py"
_spec = importlib.util.spec_from_file_location("provider_template", TEMPLATE)
assert _spec is not None
assert _spec.loader is not None
template = importlib.util.module_from_spec(_spec)
sys.modules["provider_template"] = template
_spec.loader.exec_module(template)
# Collected here: the template's own tests, against the contract that is shipped.
TestAcme, TestAcmeBars = template.TestAcme, template.TestAcmeBars


class Broken:
    """A provider that raises wherever it can."""

    name = "broken"
    capabilities = frozenset({"quotes"})

    def is_configured(self, settings: Settings) -> bool:
        return True

    def open(self, context: ProviderContext) -> Providers:
        raise RuntimeError("no such server")


class Undecided(Broken):
    name = "undecided"

    def is_configured(self, settings: Settings) -> bool:
        raise KeyError("UNDECIDED_KEY")


class Impostor(Broken):
    name = "massive"


class Overdoing(Broken):
    name = "overdoing"

    def open(self, context: ProviderContext) -> Providers:
        return Providers(reference=[SimpleNamespace(name="overdoing")])  # type: ignore[list-item]


class Unclosable(Broken):
    """It opens the sources of the template, and cannot be closed."""

    name = "unclosable"
    capabilities = frozenset({"minute"})

    def open(self, context: ProviderContext) -> Providers:
        context.stack.callback(_fail_to_close)
        return Providers(minute=[template.AcmeBars(None, None, None)])


def _fail_to_close() -> None:
    raise OSError("the server has gone")


class WithoutMethod(Broken):
    name = "without_method"
    capabilities = frozenset({"minute"})
    source: object = SimpleNamespace(name="x")

    def open(self, context: ProviderContext) -> Providers:
        return Providers(minute=[self.source])  # type: ignore[list-item]


class OtherArguments(WithoutMethod):
    name = "other_arguments"
    source = SimpleNamespace(name="x", minute_bars=lambda symbol: None)


class WithoutName(WithoutMethod):
    name = "without_name"
    source = SimpleNamespace(minute_bars=lambda symbol, session, first, last: None)


class Leaving(Broken):
    name = "leaving"

    def open(self, context: ProviderContext) -> Providers:
        sys.exit(3)


class OddlyNamed(Broken):
    name = "a/../b\n"


PROVIDERS = {
    "without_method": f"{__name__}:WithoutMethod",
    "other_arguments": f"{__name__}:OtherArguments",
    "without_name": f"{__name__}:WithoutName",
    "leaving": f"{__name__}:Leaving",
    "oddly_named": f"{__name__}:OddlyNamed",
    "acme": "provider_template:Acme",
    "broken": f"{__name__}:Broken",
    "undecided": f"{__name__}:Undecided",
    "impostor": f"{__name__}:Impostor",
    "overdoing": f"{__name__}:Overdoing",
    "missing": "no_such_package:Provider",
    "nothing": f"{__name__}:PROVIDERS",
}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    def installed(*names: str) -> None:
        points = [EntryPoint(name, PROVIDERS[name], registry.GROUP) for name in names]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)

    return installed


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ACME_API_KEY", "any-key")
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)
    monkeypatch.delenv("POLYGON_API_KEY", raising=False)
    return Settings.from_env().replaced(
        finnhub=FinnhubSettings.model_validate({"api_key": CANARY, "candles": True}),
        lake=LakeSettings.model_validate({"lake": str(tmp_path)}),
    )


def test_an_installed_provider_comes_after_ours(install, settings: Settings) -> None:
    install("acme")

    with registry.open_providers(settings) as providers:
        assert [source.name for source in providers.minute] == ["finnhub", "acme"]


def test_an_installed_provider_alone_is_enough(install, settings: Settings) -> None:
    install("acme")

    with registry.open_providers(settings, only={"acme"}) as providers:
        assert providers.requests_per_minute == 60


@pytest.mark.parametrize("name", sorted(set(PROVIDERS) - {"acme"}))
def test_a_broken_provider_is_one_line_that_names_it(
    name: str, install, settings: Settings
) -> None:
    install("acme", name)

    with structlog.testing.capture_logs() as logs, registry.open_providers(settings) as providers:
        found = [source.name for source in providers.minute]

    assert found == ["finnhub", "acme"]
    [line] = [log for log in logs if log["event"] == "provider_left_out"]
    assert line["provider"] == name
    assert line["reason"]


def test_a_broken_provider_alone_is_no_provider(install, settings: Settings) -> None:
    install("broken")

    with (
        pytest.raises(PermanentError, match="no provider is configured"),
        registry.open_providers(settings, only={"broken"}),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("without_method", "the minute source SimpleNamespace has no method minute_bars"),
        ("other_arguments", "does not take minute_bars(symbol, session, first, last)"),
        ("without_name", "the minute source SimpleNamespace has no text name"),
    ],
)
def test_a_source_of_another_kind_is_named_when_it_is_opened(
    name: str, reason: str, install, settings: Settings
) -> None:
    install(name)

    with structlog.testing.capture_logs() as logs, registry.open_providers(settings):
        pass

    assert reason in logs[0]["reason"]


def test_a_provider_that_cannot_be_closed_hides_no_error(
    install, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROVIDERS, "unclosable", f"{__name__}:Unclosable")
    install("unclosable", "acme")

    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(ValueError, match="the run's own"),
        registry.open_providers(settings),
    ):
        raise ValueError("the run's own error")

    assert [(log["event"], log["provider"]) for log in logs] == [
        ("provider_not_closed", "unclosable")
    ]
