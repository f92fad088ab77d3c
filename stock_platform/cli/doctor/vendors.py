"""Checks of the market-data providers: one cheap request to each."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from stock_platform.cli.doctor.check import Check
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.domain.symbols import Symbol
from stock_platform.errors import NotEntitledError, PermanentError
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.providers.sources import QuoteSource, ReferenceSource, SessionSource
from stock_platform.settings import Settings

EXAMPLE = Symbol("AAPL")
"""Every provider has it; requested when no symbol is configured."""
_TIMEOUT_S = 10.0
Source = TypeVar("Source", ReferenceSource, SessionSource, QuoteSource)


@contextmanager
def _only(settings: Settings, provider: str) -> Generator[Providers]:
    """Open one provider alone, so that a request is sent once and fails soon.

    What is wrong with the settings of another one is found by its own check.
    """
    hasty = {"attempts_max": 1, "request_timeout_s": _TIMEOUT_S, "budget_wait_max_s": _TIMEOUT_S}
    settings = settings.replaced(requests=settings.requests.model_copy(update=hasty))
    with open_providers(settings, only={provider}) as providers:
        yield providers


def _check_massive(settings: Settings) -> str:
    with _only(settings, "massive") as providers:
        source = _named(providers.reference, "massive")
        return f"the key is accepted; the market is {source.market_status().market}"


def _check_flatfiles(settings: Settings) -> str:
    with _only(settings, "massive_flatfiles") as providers:
        source = _named(providers.session, "massive_flatfiles")
        today = datetime.now(UTC).astimezone(NEW_YORK).date()
        # Two sessions back is published even on the morning after a holiday.
        market = settings.market
        session = min(market.calendar().previous(today, 2), market.span(today)[1])
        there = source.fingerprint(session)
    if there is None:
        raise PermanentError(f"the bucket has no minute file of {session}")
    return f"the bucket has the minute file of {session}"


def _quote_of(provider: str) -> Callable[[Settings], str]:
    def request(settings: Settings) -> str:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        symbol = (settings.market.symbols or (EXAMPLE,))[0]
        with _only(settings, provider) as providers:
            response = _named(providers.quotes, provider).quotes([symbol], minute)
        if response.refused:
            raise NotEntitledError(
                f"the plan of {provider} does not include {symbol}: {response.detail}"
            )
        if response.failed or response.rejected.height:
            raise PermanentError(
                f"{provider} returned no usable quote of {symbol}: {response.detail}"
            )
        return (
            f"returned a quote of {symbol}"
            if response.quotes.height
            else f"has no quote of {symbol}"
        )

    return request


def _named(sources: list[Source], name: str) -> Source:
    return next(source for source in sources if source.name == name)


def _has(field: str, key: str) -> Callable[[Settings], bool]:
    def is_set(settings: Settings) -> bool:
        return bool(getattr(getattr(settings, field), key).get_secret_value())

    return is_set


VENDORS = (
    Check(
        name="massive",
        used=_has("massive", "api_key"),
        run=_check_massive,
        to_use="set MASSIVE_API_KEY (or POLYGON_API_KEY)",
        remedy="check MASSIVE_API_KEY, MASSIVE_REST_URL and what the plan includes",
    ),
    Check(
        name="massive_flatfiles",
        used=_has("massive", "flatfiles_access_key"),
        run=_check_flatfiles,
        to_use="set MASSIVE_FLATFILES_ACCESS_KEY and MASSIVE_FLATFILES_SECRET_KEY",
        remedy="check both keys (they are not the API key) and what the plan includes",
    ),
    Check(
        name="finnhub",
        used=_has("finnhub", "api_key"),
        run=_quote_of("finnhub"),
        to_use="set FINNHUB_API_KEY",
        remedy="check FINNHUB_API_KEY and FINNHUB_REST_URL",
    ),
    Check(
        name="rapidapi",
        used=_has("rapid", "key"),
        run=_quote_of("rapidapi"),
        to_use="set RAPIDAPI_KEY and RAPIDAPI_URL",
        remedy="check RAPIDAPI_KEY, RAPIDAPI_URL and RAPIDAPI_FIELDS",
    ),
)
