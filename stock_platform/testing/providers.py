"""The contract of a provider, as tests that run against yours.

    from stock_platform.testing.providers import MinuteBarContract, ProviderContract

    class TestAcme(ProviderContract):
        factory = Acme()
        variables = {"ACME_KEY": "any"}

    class TestAcmeBars(MinuteBarContract):
        name = "acme"

        def source(self, now): ...
        def serve(self, bars, *, all_of_them=False): ...

pytest collects the classes and reports each broken promise by name. The built-in providers
run through the same suite. `loopback` has a server that plays your vendor.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import pytest

from stock_platform.domain import bars as bar
from stock_platform.domain import quotes as quote
from stock_platform.domain.revision import Revision
from stock_platform.errors import TransientError
from stock_platform.providers.factory import (
    CAPABILITIES,
    ProviderContext,
    ProviderFactory,
    Providers,
)
from stock_platform.providers.sources import DailySource, MinuteBarSource, QuoteSource
from stock_platform.settings import Settings

SESSION = date(2026, 11, 20)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
CLOSE = OPEN + timedelta(minutes=390)
LAST = CLOSE - timedelta(minutes=1)
NEXT_DAY = OPEN + timedelta(days=1)

WRONG_NUMBERS = {
    "NaN": ({"close": "NaN"}, "close is not a number"),
    "Infinity": ({"high": "Infinity"}, "high is not a number"),
    "null": ({"open": "null"}, "open is not a number"),
    "text": ({"open": '"abc"'}, "open is not a number"),
    "a list": ({"open": "[1]"}, "open is not a number"),
    "true": ({"open": "true"}, "open is not a number"),
    "negative price": ({"low": "-1.5"}, "low is not positive"),
    "zero price": ({"low": "0"}, "low is not positive"),
    "huge price": ({"high": "1e12"}, "high is absurdly large"),
    "huge exponent": ({"high": "1e999"}, "high is not a number"),
    "hundred digits": ({"high": "9" * 100}, "high is absurdly large"),
    "negative volume": ({"volume": "-1"}, "volume is negative"),
    "huge volume": ({"volume": "1e15"}, "volume is absurdly large"),
    "high below low": ({"high": "1", "low": "2"}, "high is not the highest"),
}
WRONG_PRICES = {
    '"NaN"': "price is not a number",
    "NaN": "price is not a number",
    "-3": "price is negative",
    "1e12": "price is absurdly large",
    "1e999": "price is not a number",
    "[]": "price is not a number",
    "true": "price is not a number",
    "1e-9": "price is not positive",
}
AWKWARD_SYMBOLS = ["BRK.B", "BF/B", "BC-", "BCpA", "A#", "A^B", "A+B", "NA"]


@dataclass(frozen=True, kw_only=True)
class SampleBar:
    """A bar in a vendor's numbers, as JSON text."""

    at: datetime
    open: str = "187.0123"
    high: str = "188"
    low: str = "186.5"
    close: str = "187.99"
    volume: str = "4332125.03836"


def sample_minutes(*offsets: int) -> list[SampleBar]:
    """Return bars of the minutes so many after the open of `SESSION`."""
    return [SampleBar(at=OPEN + timedelta(minutes=offset)) for offset in offsets]


class ProviderContract:
    """What the platform relies on in a factory; set `factory` and the `variables` it needs."""

    factory: ProviderFactory
    variables: ClassVar[Mapping[str, str]]

    def test_it_is_a_provider_factory(self) -> None:
        """It has a name, capabilities, is_configured and open."""
        assert isinstance(self.factory, ProviderFactory)
        assert self.factory.name == self.factory.name.strip().lower() != ""
        assert self.factory.capabilities
        assert self.factory.capabilities <= set(CAPABILITIES)

    def test_without_its_variables_it_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Installed and not configured, it changes nothing."""
        for name in self.variables:
            monkeypatch.delenv(name, raising=False)
        assert not self.factory.is_configured(Settings.from_env())

    def test_it_opens_what_it_declares(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: object
    ) -> None:
        """With its variables it opens sources of the kinds it declares, without a request."""
        found = self._opened(monkeypatch, tmp_path)
        assert isinstance(found, Providers)
        assert found.capabilities()
        assert found.capabilities() <= self.factory.capabilities

    def test_every_source_has_its_name(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: object
    ) -> None:
        """Rows, errors and budgets name the provider."""
        found = self._opened(monkeypatch, tmp_path)
        sources = [source for kind in CAPABILITIES for source in getattr(found, kind)]
        assert {source.name for source in sources} == {self.factory.name}

    def test_no_value_of_a_variable_is_printed(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: object
    ) -> None:
        """Keys are `SecretStr`: neither the sources nor their settings print one."""
        for name in self.variables:
            monkeypatch.setenv(name, self.variables[name])
        found = self._opened(monkeypatch, tmp_path)
        keys = [value for name, value in self.variables.items() if "KEY" in name]
        assert not [key for key in keys if key in f"{found!r} {Settings.from_env()!r}"]

    def _opened(self, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Providers:
        for name, value in {**self.variables, "STOCKS_LAKE": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        settings = Settings.from_env()
        assert self.factory.is_configured(settings)
        with ExitStack() as stack:
            return self.factory.open(ProviderContext(settings=settings, stack=stack))


class MinuteBarContract:
    """What every source of minute bars of one symbol keeps, whatever its vendor."""

    name: str

    def source(self, now: datetime) -> MinuteBarSource:
        """Return the source with `now` as its clock and the usual settlement of 20 minutes."""
        raise NotImplementedError

    def serve(self, bars: Sequence[SampleBar], *, all_of_them: bool = False) -> None:
        """Let the vendor respond with those of `bars` in the requested range, or with all."""
        raise NotImplementedError

    def requests_sent(self) -> int:
        """Return how many requests the vendor received."""
        return 0

    def test_it_is_a_source_of_minute_bars(self) -> None:
        assert isinstance(self.source(NEXT_DAY), MinuteBarSource)
        assert self.source(NEXT_DAY).name == self.name

    def test_bars_come_digit_by_digit(self) -> None:
        """A binary float cannot hold every DECIMAL(18,6)."""
        bars = SampleBar(
            at=OPEN,
            open="187.012345",
            high="188.1",
            low="186.000001",
            close="187.99",
            volume="12345678901.123456",
        )
        self.serve([bars])

        response = self.source(NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

        row = response.bars.row(0, named=True)
        assert response.bars.schema == bar.MINUTE_BARS
        assert {name: row[name] for name in ("open", "high", "low", "close", "volume")} == {
            "open": Decimal("187.012345"),
            "high": Decimal("188.1"),
            "low": Decimal("186.000001"),
            "close": Decimal("187.99"),
            "volume": Decimal("12345678901.123456"),
        }
        assert (row["symbol"], row["minute"], row["provider"]) == ("AAPL", OPEN, self.name)

    def test_the_requested_range_is_inclusive(self) -> None:
        self.serve(sample_minutes(0, 1, 2, 3, 4))
        first, last = OPEN + timedelta(minutes=1), OPEN + timedelta(minutes=3)

        response = self.source(NEXT_DAY).minute_bars("AAPL", SESSION, first, last)

        assert response.bars["minute"].to_list() == [b.at for b in sample_minutes(1, 2, 3)]

    def test_minutes_outside_the_range_are_rejected_not_dropped(self) -> None:
        self.serve(sample_minutes(0, 5, 9), all_of_them=True)

        last = OPEN + timedelta(minutes=4)
        response = self.source(NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, last)

        assert response.bars.height == 1
        assert response.rejected["reason"].to_list() == ["outside the minutes asked for"] * 2

    def test_a_minute_that_comes_twice_is_one_bar(self) -> None:
        self.serve(sample_minutes(0, 0, 1))

        response = self.source(NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

        assert response.bars["minute"].to_list() == [b.at for b in sample_minutes(0, 1)]

    def test_no_data_is_a_response_that_proves_emptiness(self) -> None:
        self.serve([])

        response = self.source(NEXT_DAY).minute_bars("ZZZZ", SESSION, OPEN, LAST)

        assert (response.bars.height, response.outcome) == (0, "ok")
        assert response.revision.proves_empty
        assert (response.first, response.last) == (OPEN, LAST)

    def test_a_response_is_final_only_after_the_session_settled(self) -> None:
        self.serve(sample_minutes(0))
        times = [CLOSE + timedelta(minutes=19), CLOSE + timedelta(minutes=20)]

        responses = [self.source(at).minute_bars("AAPL", SESSION, OPEN, LAST) for at in times]

        assert [r.revision for r in responses] == [Revision.REST, Revision.FINAL]

    def test_the_running_minute_is_left_out(self) -> None:
        self.serve(sample_minutes(*range(10)))
        now = OPEN + timedelta(minutes=5, seconds=30)

        response = self.source(now).minute_bars("AAPL", SESSION, OPEN, LAST)

        assert response.last == OPEN + timedelta(minutes=4)
        assert response.bars["minute"].max() == response.last

    def test_a_minute_of_the_future_is_transient_and_not_requested(self) -> None:
        self.serve(sample_minutes(0))

        with pytest.raises(TransientError) as caught:
            self.source(OPEN - timedelta(minutes=9)).minute_bars("AAPL", SESSION, OPEN, LAST)

        assert caught.value.delay_s == 600
        assert not self.requests_sent()

    @pytest.mark.parametrize(("wrong", "reason"), WRONG_NUMBERS.values(), ids=WRONG_NUMBERS)
    def test_a_wrong_row_is_rejected_with_its_reason_and_costs_no_other(
        self, wrong: dict[str, str], reason: str
    ) -> None:
        odd = SampleBar(at=OPEN + timedelta(minutes=1), **wrong)
        self.serve([*sample_minutes(0), odd, *sample_minutes(2)])

        response = self.source(NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

        assert response.bars["minute"].to_list() == [b.at for b in sample_minutes(0, 2)]
        assert response.rejected.select("reason", "at", "provider").rows() == [
            (reason, odd.at, self.name)
        ]

    def test_a_bar_off_the_minute_is_rejected(self) -> None:
        self.serve([SampleBar(at=OPEN + timedelta(seconds=30))], all_of_them=True)

        response = self.source(NEXT_DAY).minute_bars("AAPL", SESSION, OPEN, LAST)

        assert response.rejected["reason"].to_list() == ["not aligned to the minute"]

    @pytest.mark.parametrize("symbol", AWKWARD_SYMBOLS)
    def test_any_symbol_reaches_the_vendor_unchanged(self, symbol: str) -> None:
        self.serve(sample_minutes(0))

        response = self.source(NEXT_DAY).minute_bars(symbol, SESSION, OPEN, LAST)

        assert response.bars["symbol"].to_list() == [symbol]


class DailyBarContract:
    """What every source of daily bars of one symbol keeps."""

    def daily_source(self, now: datetime) -> DailySource:
        """Return the source with `now` as its clock."""
        raise NotImplementedError

    def serve_days(self, bars: Sequence[SampleBar]) -> None:
        """Let the vendor respond with the days of `bars`, whatever the range."""
        raise NotImplementedError

    def requests_sent(self) -> int:
        """Return how many requests the vendor received."""
        return 0

    def test_it_is_a_source_of_daily_bars(self) -> None:
        assert isinstance(self.daily_source(NEXT_DAY), DailySource)

    def test_daily_bars_are_put_on_their_session(self) -> None:
        before = date(2026, 11, 19)
        self.serve_days([SampleBar(at=OPEN - timedelta(days=1)), SampleBar(at=OPEN)])

        response = self.daily_source(NEXT_DAY).daily_bars_of("AAPL", before, SESSION)

        assert response.bars.schema == bar.DAILY_BARS
        assert response.bars["session"].to_list() == [before, SESSION]
        assert response.revision is Revision.FINAL

    def test_sessions_outside_the_span_are_rejected(self) -> None:
        self.serve_days([SampleBar(at=OPEN - timedelta(days=7)), SampleBar(at=OPEN)])

        response = self.daily_source(NEXT_DAY).daily_bars_of("AAPL", SESSION, SESSION)

        assert response.bars["session"].to_list() == [SESSION]
        assert response.rejected["reason"].to_list() == ["outside the sessions asked for"]

    def test_a_daily_bar_of_a_running_session_is_not_requested(self) -> None:
        with pytest.raises(TransientError):
            self.daily_source(OPEN + timedelta(hours=1)).daily_bars_of("AAPL", SESSION, SESSION)

        assert not self.requests_sent()


class QuoteContract:
    """What every source of quotes keeps, whatever its vendor."""

    name: str
    minute = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)

    def quote_source(self) -> QuoteSource:
        """Return the source."""
        raise NotImplementedError

    def serve_prices(self, prices: Mapping[str, str]) -> None:
        """Let the vendor quote these symbols at these prices (JSON text), and no other."""
        raise NotImplementedError

    def test_it_is_a_source_of_quotes(self) -> None:
        assert isinstance(self.quote_source(), QuoteSource)
        assert self.quote_source().name == self.name

    def test_a_price_comes_digit_by_digit(self) -> None:
        self.serve_prices({"BF/B": "11.012345"})

        response = self.quote_source().quotes(["BF/B"], self.minute)

        row = response.quotes.row(0, named=True)
        assert response.quotes.schema == quote.RAW_QUOTES
        assert (row["symbol"], row["minute"], row["provider"]) == ("BF/B", self.minute, self.name)
        assert row["price"] == Decimal("11.012345")

    def test_every_symbol_is_in_one_place(self) -> None:
        """Quotes, rejected, absent, refused and failed are disjoint and complete."""
        self.serve_prices({"A": "11", "B": "11", "BAD": '"NaN"'})

        response = self.quote_source().quotes(["A", "B", "BAD", "NOBODY", "A"], self.minute)

        places = [*response.quotes["symbol"], *response.rejected["symbol"], *response.absent]
        assert sorted(places) == ["A", "B", "BAD", "NOBODY"]
        assert (response.refused, response.failed) == ((), ())

    @pytest.mark.parametrize(("price", "reason"), WRONG_PRICES.items())
    def test_a_wrong_price_is_rejected_with_its_reason(self, price: str, reason: str) -> None:
        self.serve_prices({"A": price, "B": "11"})

        response = self.quote_source().quotes(["A", "B"], self.minute)

        assert response.quotes["symbol"].to_list() == ["B"]
        rejected = response.rejected.select("symbol", "reason", "at").rows()
        assert rejected == [("A", reason, self.minute)]
