"""The script: what it accepts, and how it says what it does not."""

from datetime import date
from pathlib import Path

import pytest

from stock_platform.errors import InvalidDataError
from stock_platform.simulator.market.clock import Clock
from stock_platform.simulator.market.synthetic import SyntheticMarket
from stock_platform.simulator.scenario import (
    MarketScenario,
    Scenario,
    ScriptedOutage,
    SyntheticScenario,
    load_scenario,
    minute_of_day,
)

WHOLE = """
market:
  synthetic: {seed: 7, symbols: [AAPL, MSFT], first: 2026-11-12, last: 2026-11-18}
  now: end
keys: {massive: [one, two]}
plan:
  denied: [{vendor: massive, path: /v3/quotes, last: 2021-01-01}]
  limits: [{vendor: massive, requests: 5}]
feed:
  speed: max
  outages: [{session: 2026-11-16, at: 10:30, minutes: 7}]
  drops: [{fraction: 0.001}, {symbols: [AAPL], minutes: ["09:45", 15:59]}]
  lost_sessions: [2026-11-13]
faults:
  - {kind: too_many_requests, path: /range/, count: 3, retry_after_s: 1}
flatfiles:
  - {session: 2026-11-17, version: 2}
"""


def test_a_whole_script_is_read() -> None:
    scenario = load_scenario(WHOLE)

    assert scenario.market.synthetic == SyntheticScenario(
        seed=7, symbols=("AAPL", "MSFT"), first=date(2026, 11, 12), last=date(2026, 11, 18)
    )
    assert scenario.feed.outages[0].session == date(2026, 11, 16)
    assert scenario.faults[0].count == 3


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(WHOLE)

    assert load_scenario(path) == load_scenario(WHOLE)


def test_nothing_is_the_default_market() -> None:
    assert load_scenario(None) == load_scenario("") == load_scenario({}) == Scenario()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("feeds: {}", "unknown field `feeds`"),
        ("feed: {outage: []}", r"unknown field `outage` - at `\$.feed`"),
        ("faults: [{kind: nonsense}]", r"'nonsense' - at `\$.faults\[0\].kind`"),
        ("market: {synthetic: {seed: x}}", r"Expected `int`.* at `\$.market.synthetic.seed`"),
        ("flatfiles: [{version: 2}]", "required field `session`"),
        ("faults: [", "not YAML"),
    ],
)
def test_a_mistake_is_one_message_that_names_its_place(text: str, words: str) -> None:
    with pytest.raises(InvalidDataError, match=words):
        load_scenario(text)


@pytest.mark.parametrize(("clock", "minute"), [("10:30", 630), (630, 630), ("09:30", 570)])
def test_a_time_of_day_is_text_or_what_yaml_makes_of_it(clock: str | int, minute: int) -> None:
    assert minute_of_day(clock) == minute


def test_an_unquoted_time_means_the_same_as_a_quoted_one() -> None:
    text = "feed: {{outages: [{{session: 2026-11-16, at: {}, minutes: 7}}]}}"

    outages = [load_scenario(text.format(at)).feed.outages for at in ("10:30", '"10:30"')]

    assert [minute_of_day(outage.at) for [outage] in outages] == [630, 630]


def test_a_wrong_time_of_day_is_named() -> None:
    outage = ScriptedOutage(session=date(2026, 11, 16), at="half past ten", minutes=7)

    with pytest.raises(InvalidDataError, match="half past ten"):
        minute_of_day(outage.at)


@pytest.mark.parametrize("now", ["soon", "2026-11-16T12:00:00"])
def test_a_now_that_is_no_instant_is_refused(now: str) -> None:
    market = SyntheticMarket(SyntheticScenario(symbols=("AAPL",)))

    with pytest.raises(InvalidDataError, match="instant"):
        Clock(MarketScenario(now=now), market)
