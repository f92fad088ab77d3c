"""Sources of bars on a loopback vendor, each in its vendor's own words.

The shared suite knows nothing of these words: it hands a stage the truth and
asks the source. Numbers are written as text, so that the source's answer can be
compared digit by digit.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import unquote

from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.providers import finnhub
from stock_platform.providers.finnhub import FinnhubCandles
from stock_platform.providers.massive import paging
from stock_platform.providers.massive.bars import MassiveBars
from stock_platform.providers.sources import DailySource, MinuteBarSource
from stock_platform.providers.transport.client import HttpClient
from stock_platform.providers.transport.revision_policy import RevisionPolicy
from stock_platform.testing.loopback import CannedResponse, ReceivedRequest, Vendor, as_json
from stock_platform.testing.providers import SampleBar

SETTLING = RevisionPolicy(Calendar())
Connect = Callable[..., HttpClient]
Clock = Callable[[], datetime]


class Source(MinuteBarSource, DailySource, Protocol):
    """A source of both kinds of bars."""


class Stage(Protocol):
    """A vendor's words on a vendor's server."""

    name: str

    def source(self, connect: Connect, clock: Clock) -> Source: ...

    def say(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        """Let the vendor answer a range of minutes with those of `bars` that are in it."""
        ...

    def blurt(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        """Let the vendor answer with all of `bars`, whatever it is asked."""
        ...

    def say_days(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None: ...


class MassiveStage:
    name = "massive"

    def source(self, connect: Connect, clock: Clock) -> Source:
        http = connect(provider="massive", complaint=paging.error_text)
        return MassiveBars(http, SETTLING, clock=clock)

    def say(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        def response(heard: ReceivedRequest) -> CannedResponse:
            first, last = (int(part) for part in heard.path.split("/")[-2:])
            return _massive(heard, [bar for bar in bars if first <= _ms(bar.at) <= last])

        vendor.response = response

    def blurt(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        vendor.response = lambda heard: _massive(heard, bars)

    def say_days(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        # A day in a range is stamped 00:00 New York.
        midnights = [
            replace(bar, at=datetime.combine(bar.at.date(), datetime.min.time(), NEW_YORK))
            for bar in bars
        ]
        vendor.response = lambda heard: _massive(heard, midnights)


class FinnhubStage:
    name = "finnhub"

    def source(self, connect: Connect, clock: Clock) -> Source:
        http = connect(provider="finnhub", header="X-Finnhub-Token", complaint=finnhub.error_text)
        return FinnhubCandles(http, SETTLING, clock=clock)

    def say(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        def response(heard: ReceivedRequest) -> CannedResponse:
            first, last = int(heard.query["from"]), int(heard.query["to"])
            return _finnhub([bar for bar in bars if first <= bar.at.timestamp() <= last])

        vendor.response = response

    def blurt(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        vendor.response = lambda _: _finnhub(bars)

    def say_days(self, vendor: Vendor, bars: Sequence[SampleBar]) -> None:
        days = [
            replace(bar, at=datetime.combine(bar.at.date(), datetime.min.time(), UTC))
            for bar in bars
        ]
        vendor.response = lambda heard: (
            as_json([]) if heard.path.endswith("/split") else _finnhub(days)
        )


STAGES: list[Stage] = [MassiveStage(), FinnhubStage()]


def _massive(heard: ReceivedRequest, bars: Sequence[SampleBar]) -> CannedResponse:
    rows = ",".join(
        f'{{"v":{bar.volume},"o":{bar.open},"c":{bar.close},"h":{bar.high},"l":{bar.low},'
        f'"t":{_ms(bar.at)},"n":7}}'
        for bar in bars
    )
    results = f'"results":[{rows}],' if rows else ""
    symbol = unquote(heard.path.split("/")[4])
    return as_json(
        f'{{"ticker":"{symbol}","adjusted":false,"resultsCount":{len(bars)},{results}"status":"OK"}}'
    )


def _finnhub(bars: Sequence[SampleBar]) -> CannedResponse:
    if not bars:
        return as_json({"s": "no_data"})
    columns = {
        "o": [bar.open for bar in bars],
        "h": [bar.high for bar in bars],
        "l": [bar.low for bar in bars],
        "c": [bar.close for bar in bars],
        "v": [bar.volume for bar in bars],
        "t": [str(int(bar.at.timestamp())) for bar in bars],
    }
    lists = ",".join(f'"{key}":[{",".join(values)}]' for key, values in columns.items())
    return as_json(f'{{"s":"ok",{lists}}}')


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
