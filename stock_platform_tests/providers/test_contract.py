"""The built-in providers keep the contract that is shipped for everybody's."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import ClassVar

import pytest

from stock_platform.providers.finnhub import Finnhub
from stock_platform.providers.massive.paging import error_text
from stock_platform.providers.massive.provider import Massive, MassiveFlatFiles
from stock_platform.providers.massive.reference import MassiveReference
from stock_platform.providers.rapidapi import RapidApi
from stock_platform.providers.sources import QuoteSource, SecurityDetails
from stock_platform.testing.loopback import CannedResponse, ReceivedRequest, Vendor, as_json
from stock_platform.testing.providers import (
    DailyBarContract,
    MinuteBarContract,
    ProviderContract,
    QuoteContract,
    SampleBar,
)
from stock_platform.testing.security_details import SecurityContract
from stock_platform_tests.providers import stages
from stock_platform_tests.providers.stages import Connect, FinnhubStage, MassiveStage, Source
from stock_platform_tests.providers.test_quote_sources import STAGES


class TestMassive(ProviderContract):
    factory = Massive()
    variables: ClassVar = {"MASSIVE_API_KEY": "canary-key"}


class TestMassiveFlatFiles(ProviderContract):
    factory = MassiveFlatFiles()
    variables: ClassVar = {
        "MASSIVE_FLATFILES_ACCESS_KEY": "canary-key-1",
        "MASSIVE_FLATFILES_SECRET_KEY": "canary-key-2",
    }


class TestFinnhub(ProviderContract):
    factory = Finnhub()
    variables: ClassVar = {"FINNHUB_API_KEY": "canary-key", "FINNHUB_CANDLES": "true"}


class TestRapidApi(ProviderContract):
    factory = RapidApi()
    variables: ClassVar = {
        "RAPIDAPI_KEY": "canary-key",
        "RAPIDAPI_URL": "https://x.example/q/{symbol}",
    }


class BarsOnLoopback(MinuteBarContract, DailyBarContract):
    """Both kinds of bars of a vendor whose words a stage has."""

    stage: stages.Stage

    @pytest.fixture(autouse=True)
    def _vendor(self, vendor: Vendor, connect: Connect) -> None:
        self.vendor, self.connect, self.name = vendor, connect, self.stage.name

    def source(self, now: datetime) -> Source:
        return self.stage.source(self.connect, lambda: now)

    def daily_source(self, now: datetime) -> Source:
        return self.source(now)

    def serve(self, bars: Sequence[SampleBar], *, all_of_them: bool = False) -> None:
        (self.stage.blurt if all_of_them else self.stage.say)(self.vendor, bars)

    def serve_days(self, bars: Sequence[SampleBar]) -> None:
        self.stage.say_days(self.vendor, bars)

    def requests_sent(self) -> int:
        return len(self.vendor.received)


class TestMassiveBars(BarsOnLoopback):
    stage = MassiveStage()


class TestFinnhubCandles(BarsOnLoopback):
    stage = FinnhubStage()


class TestMassiveSecurities(SecurityContract):
    """Details and ticker events, in the vendor's words; nobody has left the list."""

    @pytest.fixture(autouse=True)
    def _vendor(self, vendor: Vendor, connect: Connect) -> None:
        self.vendor, self.connect = vendor, connect
        self.bodies: dict[str, dict[str, object]] = {}
        vendor.response = self._response

    def _response(self, request: ReceivedRequest) -> CannedResponse:
        if request.path == "/v3/reference/tickers":
            return as_json({"status": "OK", "results": []})
        if request.path in self.bodies:
            return as_json({"status": "OK", "results": self.bodies[request.path]})
        return as_json({"status": "NOT_FOUND", "message": "Ticker not found."}, status=404)

    def security_source(self) -> MassiveReference:
        return MassiveReference(self.connect(complaint=error_text))

    def serve_security(self, details: SecurityDetails) -> None:
        self.bodies[f"/v3/reference/tickers/{details.symbol}"] = {
            "ticker": details.symbol,
            "name": details.name,
            "cik": details.cik,
            "composite_figi": details.figi,
            "share_class_figi": details.share_class_figi,
            "list_date": str(details.listed_on),
        }

    def serve_changes(self, identifier: str, changes: Sequence[tuple[str, date]]) -> None:
        events = [
            {"type": "ticker_change", "date": str(day), "ticker_change": {"ticker": symbol}}
            for symbol, day in reversed(changes)
        ]
        self.bodies[f"/vX/reference/tickers/{identifier}/events"] = {"events": events}


class QuotesOnLoopback(QuoteContract):
    """Quotes of a vendor whose words a stage has."""

    @pytest.fixture(autouse=True)
    def _vendor(self, vendor: Vendor, connect: Connect) -> None:
        self.vendor, self.connect = vendor, connect
        [self.stage] = [stage for stage in STAGES if stage.name == self.name]

    def quote_source(self) -> QuoteSource:
        return self.stage.source(self.connect)

    def serve_prices(self, prices: Mapping[str, str]) -> None:
        self.vendor.response = self.stage.words(prices)


class TestMassiveQuotes(QuotesOnLoopback):
    name = "massive"


class TestFinnhubQuotes(QuotesOnLoopback):
    name = "finnhub"


class TestRapidQuotes(QuotesOnLoopback):
    name = "rapidapi"
