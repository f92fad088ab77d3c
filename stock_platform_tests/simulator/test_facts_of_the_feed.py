"""PROVIDERS.md section 6, items 1 to 5: what the live feed must be able to do."""

import time
from collections import Counter
from datetime import date
from typing import Any

import polars as pl
import pytest

from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.simulator.feed_client import (
    Told,
    hear,
    hear_all,
    opened,
    say,
    subscribed,
)

DAY = date(2026, 11, 17)
SYMBOLS = ("AAPL", "BRK.B", "GE", "MSFT", "NULL", "ZZZ")


def scenario(feed: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    synthetic = {"symbols": SYMBOLS, "first": str(DAY), "last": str(DAY), "unsent": 0.0}
    synthetic |= parts.pop("synthetic", {})
    return {"market": {"synthetic": synthetic}, "feed": feed or {}, **parts}


def starts(bars: pl.DataFrame) -> set[tuple[str, int]]:
    return set(bars.select("symbol", pl.col("minute").dt.epoch("ms")).iter_rows())


def whole_replay(
    simulator: Simulator, *channels: str, delayed: bool = False, quiet_s: float = 0.7
) -> Told:
    with subscribed(simulator, *channels, delayed=delayed) as socket:
        return hear(socket, quiet_s=quiet_s)


def ended_by(simulator: Simulator, **arguments: Any) -> Told:
    with subscribed(simulator, "AM.*", **arguments) as socket:
        return hear(socket, quiet_s=3.0)


def test_6_1_late_bars_are_sent_again_with_other_values() -> None:
    with running(scenario(synthetic={"late": 0.2})) as simulator:
        told = whole_replay(simulator, "AM.*")

    times = Counter((event["sym"], event["s"]) for event in told.events)
    [(key, count)] = times.most_common(1)
    volumes = [event["v"] for event in told.events if (event["sym"], event["s"]) == key]
    assert count == 2
    assert volumes[0] < volumes[1]


def test_6_1_after_the_rebuild_rest_tells_other_values_than_the_feed() -> None:
    with running(scenario(synthetic={"late": 0.0, "rebuilt": 0.2})) as simulator:
        told = whole_replay(simulator, "AM.*")
        truth = simulator.market.minute_bars(DAY)

    sent = {(event["sym"], event["s"]): float(event["dv"]) for event in told.events}
    rows = truth.select("symbol", pl.col("minute").dt.epoch("ms"), "volume").iter_rows()
    changed = sum(sent[(symbol, start)] != volume for symbol, start, volume in rows)
    assert 0.1 * truth.height < changed < 0.3 * truth.height


def test_6_2_a_minute_without_a_trade_has_no_bar() -> None:
    with running(scenario()) as simulator:
        told = whole_replay(simulator, "AM.*")
        truth = simulator.market.minute_bars(DAY)

    assert truth.height < 390 * len(SYMBOLS)
    assert told.keys() == starts(truth)


def test_6_2_the_feed_of_a_half_day_ends_with_its_after_hours_at_17() -> None:
    half_day = {"first": "2026-11-27", "last": "2026-11-27", "extended": True}
    with running(scenario(synthetic={**half_day, "symbols": ("SPY",)})) as simulator:
        told = whole_replay(simulator, "AM.SPY")
        grid = simulator.market.calendar.grid(date(2026, 11, 27))

    starts_ms = sorted(event["s"] for event in told.events)
    assert grid.closes_at.timestamp() * 1000 - starts_ms[-1] <= 3_600_000
    assert starts_ms[0] >= grid.opens_at.timestamp() * 1000


@pytest.mark.parametrize("evict", ["newest", "oldest", "random"])
def test_6_3_one_connection_too_many_is_dismissed_after_it_subscribed(evict: str) -> None:
    plan = {"connections_max": 1, "evict": evict}
    with (
        running(scenario({"start": "told"}, plan=plan)) as simulator,
        subscribed(simulator, "AM.*") as first,
        subscribed(simulator, "AM.*", delayed=True) as second,
    ):
        told = {"first": hear(first), "second": hear(second)}

    victims = [name for name, heard in told.items() if heard.close_code is not None]
    expected = {"newest": ["second"], "oldest": ["first"]}.get(evict, victims)
    assert victims == expected
    assert len(victims) == 1
    victim = told[victims[0]]
    assert victim.close_code == 1008
    assert victim.status_names() == ["success", "max_connections"]


def test_6_3_a_wrong_key_is_told_so_and_closed_with_1000() -> None:
    with running(scenario()) as simulator, opened(simulator.ws_url_realtime) as socket:
        say(socket, "auth", "wrong")
        told = hear(socket)

    assert told.status_names() == ["connected", "auth_failed"]
    assert told.close_code == 1000


def test_6_3_who_does_not_authenticate_is_told_auth_timeout() -> None:
    feed = {"auth_timeout_s": 0.2}
    with running(scenario(feed)) as simulator, opened(simulator.ws_url_realtime) as socket:
        told = hear(socket)

    assert told.status_names() == ["connected", "auth_timeout"]


def test_6_3_a_channel_outside_the_plan_is_refused_and_the_connection_stays() -> None:
    plan = {"refused_channels": ["Q"]}
    with (
        running(scenario({"start": "told"}, plan=plan)) as simulator,
        subscribed(simulator, "Q.*", "T.AAPL") as socket,
    ):
        told = hear(socket, quiet_s=0.3)

    assert [(item["status"], item["message"]) for item in told.statuses] == [
        ("error", "not authorized"),
        ("success", "subscribed to: T.AAPL"),
    ]
    assert told.close_code is None


def test_6_3_an_unknown_channel_is_ignored_without_an_answer() -> None:
    with (
        running(scenario({"start": "told"})) as simulator,
        subscribed(simulator, "ZZ.*") as socket,
    ):
        told = hear(socket, quiet_s=0.3)

    assert told.frames == []
    assert told.close_code is None


def test_6_3_too_many_channels_are_refused_together_and_unsubscribing_frees_them() -> None:
    with (
        running(scenario({"start": "told"}, plan={"subscriptions_max": 2})) as simulator,
        subscribed(simulator, "T.AAPL", "T.MSFT", "T.GE") as socket,
    ):
        refused = hear(socket, frames_max=1)
        say(socket, "subscribe", "T.AAPL,T.MSFT")
        say(socket, "unsubscribe", "T.AAPL")
        say(socket, "subscribe", "T.GE")
        taken = hear(socket, quiet_s=0.3)

    assert refused.status_names() == ["error"] * 3
    assert taken.status_names() == ["success"] * 4


@pytest.mark.parametrize(
    ("kind", "code"),
    [("close_1000", 1000), ("close_1001", 1001), ("closed_1011", 1011), ("reset", 1006)],
)
def test_6_3_the_connection_ends_in_mid_session(kind: str, code: int) -> None:
    feed = {"close_after_frames": 50, "close_kind": kind}
    with running(scenario(feed)) as simulator:
        told = ended_by(simulator)

    assert told.close_code == code
    assert len(told.events) > 0


def test_6_3_the_feed_falls_silent_without_closing() -> None:
    feed = {"close_after_frames": 50, "close_kind": "silent"}
    with running(scenario(feed)) as simulator, subscribed(simulator, "AM.*") as socket:
        told = hear(socket, quiet_s=1.0)
        finished = simulator.finished.wait(20)

    assert finished
    assert told.close_code is None
    assert len(told.frames) == 51


def test_6_3_a_slow_reader_is_told_so_and_cut_off() -> None:
    synthetic = {"symbols": 200}
    feed = {"slow_reader_bytes": 100_000}
    with (
        running(scenario(feed, synthetic=synthetic)) as simulator,
        subscribed(simulator, "T.*", "Q.*") as socket,
    ):
        time.sleep(1)  # the slow reader
        told = hear(socket, quiet_s=3.0)

    assert told.status_names()[-1] == "slow_consumer"
    assert told.close_code == 1008


def test_6_3_a_scripted_outage_loses_exactly_what_it_says() -> None:
    outage = {"session": str(DAY), "at": "10:30", "minutes": 7, "kind": "reset"}
    with running(scenario({"outages": [outage]})) as simulator:
        told = hear_all(simulator, "AM.*")
        truth, lost = simulator.market.minute_bars(DAY), simulator.lost(DAY)

    assert starts(truth) - told.keys() == starts(lost)
    assert 7 <= lost.filter(symbol="AAPL").height <= 8


def test_6_3_a_silent_outage_keeps_the_connection() -> None:
    outage = {"session": str(DAY), "at": "10:30", "minutes": 7, "kind": "silent"}
    with running(scenario({"outages": [outage]})) as simulator:
        told = whole_replay(simulator, "AM.*")
        truth, lost = simulator.market.minute_bars(DAY), simulator.lost(DAY)

    assert told.close_code is None
    assert starts(truth) - told.keys() == starts(lost) != set()


def test_6_3_scattered_minutes_and_a_whole_session_are_lost_as_scripted() -> None:
    drops = [
        {"fraction": 0.05},
        {"session": str(DAY), "symbols": ["GE"], "minutes": ["11:00", 661]},
    ]
    feed = {"drops": drops, "lost_sessions": ["2026-11-16"]}
    with running(scenario(feed, synthetic={"first": "2026-11-16"})) as simulator:
        told = hear_all(simulator, "AM.*")
        truth = simulator.market.minute_bars(DAY)
        gone, whole = simulator.lost(DAY), simulator.lost(date(2026, 11, 16))
        yesterday = simulator.market.minute_bars(date(2026, 11, 16))

    assert starts(truth) - told.keys() == starts(gone)
    assert 0.03 * truth.height < gone.height < 0.07 * truth.height
    assert whole.equals(yesterday.select("symbol", "minute"))
    assert told.keys() & starts(yesterday) == set()


def test_6_3_frames_are_dropped_without_any_sign() -> None:
    with running(scenario({"frames_dropped": 0.2})) as simulator:
        told = whole_replay(simulator, "AM.AAPL")

    assert 200 < len(told.keys()) < 370


def test_6_4_statuses_come_one_a_frame_or_together() -> None:
    def acknowledged(*, batched: bool) -> list[int]:
        feed = {"start": "told", "batch_statuses": batched}
        with (
            running(scenario(feed)) as simulator,
            subscribed(simulator, "AM.AAPL", "T.AAPL", "Q.AAPL") as socket,
        ):
            return [len(frame) for frame in hear(socket, quiet_s=0.3).frames]

    assert acknowledged(batched=True) == [3]
    assert acknowledged(batched=False) == [1, 1, 1]


def test_6_4_data_and_status_share_an_array() -> None:
    with running(scenario({"status_with_data": True})) as simulator:
        told = whole_replay(simulator, "AM.*")

    mixed = [frame for frame in told.frames if {item["ev"] for item in frame} == {"AM", "status"}]
    assert len(mixed) > 10


def test_6_4_hundreds_of_events_come_in_one_frame_at_the_top_of_the_minute() -> None:
    feed = {"events_per_frame": 400}
    with running(scenario(feed, synthetic={"symbols": 600})) as simulator:
        # The session of so many symbols is drawn first: a busy machine needs its time.
        told = whole_replay(simulator, "AM.*", quiet_s=5.0)

    assert max(len(frame) for frame in told.frames) == 400


@pytest.mark.parametrize("given", [True, False])
def test_6_5_decimal_volumes_are_there_or_not(given: bool) -> None:  # noqa: FBT001 - a column of the table above
    with running(scenario({"decimal_volumes": given})) as simulator:
        told = whole_replay(simulator, "AM.AAPL")

    assert all(("dv" in event) is given for event in told.events)
    assert all(isinstance(event["v"], int) for event in told.events)


def test_6_5_unknown_keys_and_unknown_events_come_along() -> None:
    with running(scenario({"extra_keys": True, "unknown_events": True})) as simulator:
        told = whole_replay(simulator, "AM.AAPL")

    assert {event["ev"] for event in told.events} == {"AM", "XX"}
    assert all("newKey" in event for event in told.events if event["ev"] == "AM")


def test_fragmented_and_oversized_frames_carry_the_same_bars() -> None:
    feed = {"fragments": 3, "oversized_every": 40, "oversized_bytes": 1_500_000}
    with running(scenario(feed)) as simulator:
        told = whole_replay(simulator, "AM.*")
        truth = simulator.market.minute_bars(DAY)

    assert told.keys() == starts(truth)
    assert max(len(event.get("padding", "")) for event in told.events) == 1_500_000


def test_a_frame_that_is_not_utf8_makes_a_strict_client_leave() -> None:
    with (
        running(scenario({"invalid_utf8_every": 30})) as simulator,
        subscribed(simulator, "AM.*") as socket,
    ):
        told = hear(socket)
        farewell = socket.protocol.close_sent

    assert len(told.frames) == 31
    assert farewell is not None
    assert farewell.code == 1007


@pytest.mark.parametrize(("unit", "digits"), [("ms", 13), ("us", 16), ("ns", 19)])
def test_6_5_the_time_of_trades_has_13_16_or_19_digits(unit: str, digits: int) -> None:
    with running(scenario({"time_unit": unit})) as simulator:
        told = whole_replay(simulator, "T.AAPL", "Q.AAPL", "FMV.AAPL")

    assert {event["ev"] for event in told.events} == {"T", "Q", "FMV"}
    assert {len(str(event["t"])) for event in told.events} == {digits}


def test_trades_come_in_order_of_time_on_the_delayed_host() -> None:
    with (
        running(scenario()) as simulator,
        subscribed(simulator, "T.*", delayed=True) as socket,
    ):
        times = [event["t"] for event in hear(socket).events]

    assert times == sorted(times)
    assert len(times) > 4_000


def test_trades_of_a_minute_make_its_bar() -> None:
    with running(scenario(synthetic={"symbols": ("SPY",)})) as simulator:
        told = whole_replay(simulator, "T.SPY")
        bar = simulator.market.minute_bars(DAY).row(100, named=True)

    start = int(bar["minute"].timestamp() * 1000)
    trades = [event for event in told.events if start <= event["t"] < start + 60_000]
    prices = [trade["p"] for trade in trades]
    assert (prices[0], max(prices), min(prices), prices[-1]) == (
        bar["open"],
        bar["high"],
        bar["low"],
        bar["close"],
    )
    assert sum(float(trade["ds"]) for trade in trades) == pytest.approx(bar["volume"])


def test_second_bars_add_up_to_the_minute() -> None:
    with running(scenario(synthetic={"symbols": ("SPY",)})) as simulator:
        told = whole_replay(simulator, "A.SPY")
        truth = simulator.market.minute_bars(DAY)

    assert sum(float(event["dv"]) for event in told.events) == pytest.approx(truth["volume"].sum())
    assert {event["e"] - event["s"] for event in told.events} == {1000}


def test_at_a_numeric_speed_the_replay_takes_its_time() -> None:
    feed = {"speed": 1200, "from_minute": "15:50"}
    with running(scenario(feed)) as simulator:
        started = time.perf_counter()
        told = whole_replay(simulator, "AM.AAPL")
        simulator.finished.wait(20)
        took_s = time.perf_counter() - started

    # 10 minutes to the close and 31 until the last resend of the delayed host: 2 s at this speed.
    assert 1.9 < took_s < 6
    # The bar of 15:49 leaves a second after 15:50.
    assert len(told.keys()) == 11
