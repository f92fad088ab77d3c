"""The synthetic market: the same for the same seed, and shaped like the real one."""

import hashlib
import subprocess
import sys
import time
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from stock_platform.domain.bars import MINUTE_BARS, validate_bars
from stock_platform.domain.sessions import NEW_YORK, Calendar
from stock_platform.simulator.market.synthetic import SyntheticMarket
from stock_platform.simulator.market.universe import AWKWARD, WELL_KNOWN
from stock_platform.simulator.scenario import SyntheticScenario

DAY = date(2026, 11, 17)
_FINGERPRINT = """
from datetime import date
from stock_platform_tests.simulator.test_synthetic_market import fingerprint
print(fingerprint(date(2026, 11, 17)))
"""


def market(**changes: object) -> SyntheticMarket:
    return SyntheticMarket(SyntheticScenario(**{"symbols": 120, **changes}))


def fingerprint(session: date) -> str:
    made = market()
    frames = (made.minute_bars(session), made.live_bars(session), made.daily_bars(session))
    text = "".join(frame.write_csv() for frame in frames)
    return hashlib.sha256(text.encode()).hexdigest()


def test_another_process_draws_the_same_bytes() -> None:
    here = fingerprint(DAY)

    there = subprocess.run(
        [sys.executable, "-c", _FINGERPRINT], capture_output=True, text=True, check=True
    )

    assert there.stdout.strip() == here


def test_a_session_does_not_depend_on_the_sessions_asked_for_before() -> None:
    first, second = market(), market()

    second.minute_bars(date(2026, 11, 12))

    assert first.minute_bars(DAY).equals(second.minute_bars(DAY))


def test_a_session_does_not_depend_on_the_span_of_the_market() -> None:
    splits: dict[str, object] = {"splits": ()}

    wide = market(first=date(2026, 10, 1), **splits)

    assert wide.minute_bars(DAY).equals(market(**splits).minute_bars(DAY))


def test_another_seed_is_another_market() -> None:
    assert not market(seed=2).minute_bars(DAY).equals(market().minute_bars(DAY))


def test_every_bar_is_acceptable() -> None:
    bars = market(extended=True).minute_bars(DAY)
    raw = bars.with_columns(
        provider=pl.lit("x"),
        revision=pl.lit("final"),
        observed_at=pl.lit(datetime(2026, 11, 18, tzinfo=NEW_YORK)).dt.convert_time_zone("UTC"),
    )

    sifted = validate_bars(raw, MINUTE_BARS, dataset="minute_bars")

    assert sifted.rejected.height == 0
    assert sifted.bars.height == bars.height > 10_000


def test_bars_are_sorted_and_unique_by_symbol_and_minute() -> None:
    bars = market().minute_bars(DAY)

    key = bars.select("symbol", "minute")

    assert key.equals(key.unique().sort("symbol", "minute"))


def test_about_four_in_five_symbol_days_lack_some_minute() -> None:
    bars = market(symbols=2000).minute_bars(DAY)

    complete = bars.group_by("symbol").len().filter(pl.col("len") == 390).height

    assert 0.70 < 1 - complete / 2000 < 0.88


def test_volume_is_a_u_over_the_day() -> None:
    bars = market(symbols=500).minute_bars(DAY)
    start = Calendar().grid(DAY).starts_at
    hour = ((pl.col("minute") - start).dt.total_minutes() // 65).alias("part")

    parts = bars.group_by(hour).agg(pl.col("transactions").sum()).sort("part")["transactions"]

    assert parts[0] > 1.5 * parts[3]
    assert parts[5] > 1.2 * parts[3]


def test_awkward_symbols_trade() -> None:
    traded = set(market(symbols=60).minute_bars(DAY)["symbol"])

    assert {*AWKWARD, *WELL_KNOWN[:5]} - traded == set()


def test_prices_have_two_decimals() -> None:
    bars = market().minute_bars(DAY)

    cents = bars.select((pl.col("open", "high", "low", "close") * 100).round(6) % 1)

    assert cents.sum().sum_horizontal().item() == pytest.approx(0)


@pytest.mark.parametrize(
    ("session", "whole"), [(date(2026, 2, 20), True), (date(2026, 2, 23), False)]
)
def test_volume_is_fractional_since_february_2026(session: date, whole: bool) -> None:  # noqa: FBT001 - a column of the table above
    bars = market(first=session, last=session).minute_bars(session)

    is_whole = bars.select((pl.col("volume") == pl.col("volume").floor()).all()).item()

    assert is_whole is whole


def test_a_halt_leaves_a_hole_in_a_symbol_that_trades_every_minute() -> None:
    calm = market(symbols=("SPY",), halts=0.0).minute_bars(DAY)

    halted = market(symbols=("SPY",), halts=1.0).minute_bars(DAY)

    assert calm.height == 390
    assert 330 <= halted.height <= 385


def test_a_split_divides_the_price_and_multiplies_the_volume() -> None:
    made = market()
    [split] = made.splits()
    before = made.calendar.previous(split.executed_on)

    old, new = (
        made.daily_bars(day).filter(pl.col("symbol") == split.symbol).row(0, named=True)
        for day in (before, split.executed_on)
    )

    assert old["close"] / new["open"] == pytest.approx(split.ratio, rel=0.2)
    assert new["volume"] > 2 * old["volume"]


def test_daily_prices_are_of_regular_hours_and_volume_of_all() -> None:
    made = market(symbols=("SPY",), extended=True)
    bars = made.minute_bars(DAY)
    regular = Calendar().grid(DAY)
    inside = (pl.col("minute") >= regular.opens_at) & (pl.col("minute") < regular.closes_at)

    day = made.daily_bars(DAY).row(0, named=True)

    assert day["volume"] == pytest.approx(bars["volume"].sum())
    assert day["high"] == bars.filter(inside)["high"].max()
    assert day["open"] == bars.filter(inside)["open"][0]
    assert bars.filter(~inside).height > 0


def test_half_day_ends_at_13_and_its_after_hours_at_17() -> None:
    half_day = date(2020, 11, 27)
    regular = market(symbols=("SPY",), first=half_day, last=half_day)
    extended = market(symbols=("SPY",), first=half_day, last=half_day, extended=True)

    close, after_hours = (
        f"{made.minute_bars(half_day)['minute'].max().astimezone(NEW_YORK):%H:%M}"
        for made in (regular, extended)
    )

    assert close == "12:59"
    assert "16:00" <= after_hours <= "16:59"


@pytest.mark.parametrize(
    ("session", "utc"),
    [
        (date(2026, 3, 6), "14:30"),
        (date(2026, 3, 9), "13:30"),
        (date(2026, 10, 30), "13:30"),
        (date(2026, 11, 2), "14:30"),
    ],
)
def test_the_open_moves_with_daylight_saving_time(session: date, utc: str) -> None:
    bars = market(symbols=("SPY",), first=session, last=session).minute_bars(session)

    first = bars["minute"].min()

    assert f"{first:%H:%M}" == utc
    assert bars.height == 390


def test_late_bars_are_sent_again_within_fifteen_minutes_with_the_final_values() -> None:
    made = market(late=0.05, rebuilt=0.0, unsent=0.0)
    truth, sent = made.minute_bars(DAY), made.live_bars(DAY)
    values = ["symbol", "minute", "open", "high", "low", "close", "vwap", "volume"]

    last = sent.sort("sent_at").unique(["symbol", "minute"], keep="last", maintain_order=True)
    again = sent.height - truth.height

    assert last.select(values).sort("symbol", "minute").equals(truth.select(values))
    assert 0.03 * truth.height < again < 0.07 * truth.height
    assert (sent["sent_at"] - sent["minute"]).max() < timedelta(minutes=16)


def test_the_record_rebuilt_after_the_close_knows_what_the_feed_never_told() -> None:
    made = market(late=0.0, rebuilt=0.02, unsent=0.01)
    truth, sent = made.minute_bars(DAY), made.live_bars(DAY)

    both = truth.join(sent, on=["symbol", "minute"], suffix="_sent")
    changed = both.filter(pl.col("volume") != pl.col("volume_sent")).height

    assert 0.005 * truth.height < truth.height - sent.height < 0.015 * truth.height
    assert 0.01 * truth.height < changed < 0.03 * truth.height


def test_generating_500_symbols_takes_less_than_half_a_second() -> None:
    made = market(symbols=500)
    made.calendar.grid(DAY)

    started = time.perf_counter()
    made.minute_bars(DAY)

    # 0.05 s on an idle core; the bound leaves room for a busy machine.
    assert time.perf_counter() - started < 0.5
