"""Indicators in a lake: carried from session to session, healed forward, repeated in vain."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS, validate_bars
from stock_platform.domain.revision import Revision
from stock_platform.errors import InvalidDataError
from stock_platform.indicators.engine.compute import compute
from stock_platform.indicators.engine.sessions import with_session
from stock_platform.indicators.indicator import Timeframe
from stock_platform.lake import read, write
from stock_platform.lake.object_store import ObjectStore, open_store
from stock_platform.pipelines.indicators.lookback import differing, newest_bars
from stock_platform.pipelines.indicators.selection import chosen, described
from stock_platform.pipelines.indicators.stores import MinuteIndicatorStore, indicator_store
from stock_platform.pipelines.indicators.updater import IndicatorUpdater, UpdateResult
from stock_platform.settings import LakeSettings, Settings
from stock_platform_tests.indicators.market import NO_SPLITS, random_daily, same_minutes

DAILY = random_daily(3, 60, seed=5)
DAYS = DAILY["session"].unique().sort().to_list()
MINUTES = same_minutes(2, 3, seed=7)
MINUTE_DAYS = with_session(MINUTES)["session"].unique().sort().to_list()


def _lake(folder: Path, bars: pl.DataFrame, revision: Revision = Revision.REST) -> ObjectStore:
    store = open_store(LakeSettings(lake=str(folder)))
    _publish(store, bars, revision)
    return store


def _publish(store: ObjectStore, bars: pl.DataFrame, revision: Revision) -> None:
    told = bars.with_columns(
        pl.lit("test").alias("provider"),
        pl.lit(revision.value).alias("revision"),
        pl.lit(datetime(2026, 7, 1, tzinfo=UTC)).alias("observed_at"),
    )
    if "minute" not in bars.columns:
        write.publish_daily_bars(store, validate_bars(told, DAILY_BARS, dataset="test").bars)
        return
    sound = validate_bars(told, MINUTE_BARS, dataset="test").bars
    for (session,), rows in with_session(sound).group_by("session"):
        assert isinstance(session, date)
        write.publish_minute_bars(store, session, rows.drop("session"))


def _extend(
    store: ObjectStore, timeframe: Timeframe, days: list[date], *, first: date | None = None
) -> UpdateResult:
    shelf = indicator_store(store, timeframe)
    return IndicatorUpdater(
        store=shelf,
        indicators=chosen(timeframe, Settings.from_env()),
        splits=NO_SPLITS,
        first=first or days[0],
    ).extend(days)


def _daily_values(store: ObjectStore) -> pl.DataFrame:
    years = read.years_present(store, "indicators_daily")
    found = [read.table(store, "indicators_daily", year) for year in years]
    return pl.concat(found).sort("symbol", "session")


def _minute_values(store: ObjectStore) -> pl.DataFrame:
    days = sorted(read.sessions_present(store, "indicators_minute"))
    return pl.concat([read.table(store, "indicators_minute", day) for day in days]).sort(
        "symbol", "minute"
    )


def _corrected(bars: pl.DataFrame, day: date, symbol: str) -> pl.DataFrame:
    """Double one day's bar of a symbol."""
    time = pl.col("minute").dt.date() if "minute" in bars.columns else pl.col("session")
    concerned = (pl.col("symbol") == symbol) & (time == day)
    names = ["open", "high", "low", "close", "volume"]
    return bars.filter(concerned).with_columns(pl.col(names) * 2)


def test_sessions_one_by_one_give_what_the_whole_history_gives(tmp_path: Path) -> None:
    store = _lake(tmp_path, DAILY)

    for day in DAYS:
        _extend(store, "daily", [day], first=DAYS[0])

    held = pl.concat([read.daily_bars(store, year, year) for year in {d.year for d in DAYS}])
    whole = compute(held, chosen("daily", Settings.from_env())).values.sort("symbol", "session")
    assert_frame_equal(
        _daily_values(store), whole, check_column_order=False, rel_tol=1e-9, abs_tol=1e-7
    )


def test_minutes_run_on_from_session_to_session(tmp_path: Path) -> None:
    store = _lake(tmp_path, MINUTES)

    for day in MINUTE_DAYS:
        _extend(store, "minute", [day], first=MINUTE_DAYS[0])

    held = pl.concat([read.minute_bars(store, day) for day in MINUTE_DAYS])
    whole = compute(held, chosen("minute", Settings.from_env())).values.sort("symbol", "minute")
    assert_frame_equal(
        _minute_values(store), whole, check_column_order=False, rel_tol=1e-9, abs_tol=1e-6
    )


def test_a_range_is_the_same_to_the_last_digit_as_its_sessions_one_by_one(tmp_path: Path) -> None:
    single, ranged = _lake(tmp_path / "a", DAILY), _lake(tmp_path / "b", DAILY)
    for day in DAYS[:30]:
        _extend(single, "daily", [day], first=DAYS[0])

    _extend(ranged, "daily", DAYS[:30])

    assert _daily_values(ranged).equals(_daily_values(single))


@pytest.mark.parametrize("timeframe", ["daily", "minute"])
def test_extending_again_writes_nothing(tmp_path: Path, timeframe: Timeframe) -> None:
    bars, days = {"daily": (DAILY, DAYS[:30]), "minute": (MINUTES, MINUTE_DAYS)}[timeframe]
    store = _lake(tmp_path, bars)
    _extend(store, timeframe, days)
    before = {entry.path: entry.version for entry in store.list("")}

    again = _extend(store, timeframe, days)

    assert (again.added, again.changed, again.followed) == (0, 0, [])
    assert {entry.path: entry.version for entry in store.list("")} == before


@pytest.mark.parametrize("timeframe", ["daily", "minute"])
def test_a_session_that_did_not_change_is_not_followed(
    tmp_path: Path, timeframe: Timeframe
) -> None:
    bars, days = {"daily": (DAILY, DAYS[:30]), "minute": (MINUTES, MINUTE_DAYS)}[timeframe]
    store = _lake(tmp_path, bars)
    _extend(store, timeframe, days)

    again = _extend(store, timeframe, days[:1])

    assert (again.changed, again.followed) == (0, [])


def test_a_healed_session_is_followed_through_every_later_one(tmp_path: Path) -> None:
    healed, fresh = _lake(tmp_path / "a", DAILY), _lake(tmp_path / "b", DAILY)
    _extend(healed, "daily", DAYS)
    correction = _corrected(DAILY, DAYS[35], "S0001")
    for store in (healed, fresh):
        _publish(store, correction, Revision.CORRECTION)

    done = _extend(healed, "daily", [DAYS[35]], first=DAYS[0])

    _extend(fresh, "daily", DAYS)
    assert len(done.followed) > 20
    assert _daily_values(healed).equals(_daily_values(fresh))


def test_a_healed_minute_is_followed_into_the_later_sessions(tmp_path: Path) -> None:
    healed, fresh = _lake(tmp_path / "a", MINUTES), _lake(tmp_path / "b", MINUTES)
    _extend(healed, "minute", MINUTE_DAYS)
    correction = _corrected(MINUTES, MINUTE_DAYS[0], "S0001")
    for store in (healed, fresh):
        _publish(store, correction, Revision.CORRECTION)

    done = _extend(healed, "minute", [MINUTE_DAYS[0]])

    _extend(fresh, "minute", MINUTE_DAYS)
    assert done.followed == MINUTE_DAYS[1:]
    assert _minute_values(healed).equals(_minute_values(fresh))


def test_a_symbol_is_followed_over_sessions_in_which_it_did_not_trade(tmp_path: Path) -> None:
    quiet = (pl.col("symbol") == "S0001") & pl.col("session").is_in(DAYS[36:39])
    bars = DAILY.filter(~quiet)
    healed, fresh = _lake(tmp_path / "a", bars), _lake(tmp_path / "b", bars)
    _extend(healed, "daily", DAYS)
    correction = _corrected(bars, DAYS[35], "S0001")
    for store in (healed, fresh):
        _publish(store, correction, Revision.CORRECTION)

    _extend(healed, "daily", [DAYS[35]], first=DAYS[0])

    _extend(fresh, "daily", DAYS)
    assert _daily_values(healed).equals(_daily_values(fresh))


def test_while_history_is_still_to_come_later_sessions_are_left_alone(tmp_path: Path) -> None:
    store = _lake(tmp_path, MINUTES)
    _extend(store, "minute", [MINUTE_DAYS[2]], first=MINUTE_DAYS[0])

    done = _extend(store, "minute", [MINUTE_DAYS[1]], first=MINUTE_DAYS[0])

    assert done.followed == []


def test_history_loaded_newest_first_ends_as_if_it_had_come_in_order(tmp_path: Path) -> None:
    store, ordered = (_lake(tmp_path / name, MINUTES) for name in "ab")
    for day in reversed(MINUTE_DAYS):
        _extend(store, "minute", [day], first=MINUTE_DAYS[0])

    _extend(ordered, "minute", MINUTE_DAYS)

    assert _minute_values(store).equals(_minute_values(ordered))


class _Overtaken(MinuteIndicatorStore):
    """Lets another run finish the session before, just as this one begins to write."""

    meanwhile: Callable[[], object] | None = None

    def keep(
        self, session: date, values: pl.DataFrame, states: pl.DataFrame, *, whole: bool
    ) -> None:
        if self.meanwhile:
            other, self.meanwhile = self.meanwhile, None
            other()
        MinuteIndicatorStore.keep(self, session, values, states, whole=whole)


def test_runs_on_neighbouring_sessions_at_once_still_make_one_chain(tmp_path: Path) -> None:
    store, ordered = (_lake(tmp_path / name, MINUTES) for name in "ab")
    shelf = _Overtaken(store=store)
    shelf.meanwhile = lambda: _extend(store, "minute", [MINUTE_DAYS[0]])

    IndicatorUpdater(
        store=shelf,
        indicators=chosen("minute", Settings.from_env()),
        splits=NO_SPLITS,
        first=MINUTE_DAYS[0],
    ).extend([MINUTE_DAYS[1]])

    _extend(ordered, "minute", MINUTE_DAYS[:2])
    assert _minute_values(store).equals(_minute_values(ordered))


def test_a_session_without_bars_computes_nothing(tmp_path: Path) -> None:
    store = _lake(tmp_path, DAILY)

    done = _extend(store, "daily", [date(2026, 11, 20)])

    assert (done.sessions, done.rows) == ([], 0)


def _opened(frames: list[pl.DataFrame], opened: list[int]) -> Iterator[pl.DataFrame]:
    for n, frame in enumerate(frames):
        opened.append(n)
        yield frame


def test_no_more_history_is_opened_than_a_symbol_needs() -> None:
    bars = DAILY.filter(pl.col("symbol") == "S0000")
    frames = [bars[40:60], bars[20:40], bars[:20]]
    states = bars[59:60].select("symbol", pl.col("session").alias("last"))
    opened: list[int] = []

    [found] = newest_bars(_opened(frames, opened), pl.Series(["S0000"]), states, near=10, far=50)

    assert (opened, found["session"].to_list()) == ([0], DAYS[50:60])


def test_a_state_that_is_not_of_the_newest_bar_reads_the_longer_history() -> None:
    bars = DAILY.filter(pl.col("symbol") == "S0000")
    states = bars[58:59].select("symbol", pl.col("session").alias("last"))

    found = newest_bars(
        [bars[40:60], bars[20:40], bars[:20]], pl.Series(["S0000"]), states, near=10, far=50
    )

    assert sum(frame.height for frame in found) == 50


def test_rows_of_one_side_and_other_numbers_differ() -> None:
    old = pl.DataFrame({"symbol": ["a", "b", "c"], "x": [1.0, None, 3.0]})
    new = pl.DataFrame({"symbol": ["a", "b", "d"], "x": [1.0, 2.0, 4.0]})

    assert differing(old, new, ["symbol"]) == {"b", "c", "d"}


def test_of_the_same_rows_those_with_other_or_more_numbers_differ() -> None:
    old = pl.DataFrame({"symbol": ["a", "b", "c"], "x": [1.0, None, 3.0], "gone": [1, 1, 1]})
    new = pl.DataFrame({"symbol": ["a", "b", "c"], "x": [1.0, 2.0, 3.0], "y": [None, None, 5.0]})

    assert differing(old, new, ["symbol"]) == {"b", "c"}


def test_a_name_of_one_timeframe_leaves_the_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_INDICATORS", '["session_vwap"]')

    assert [
        len(chosen("daily", Settings.from_env())),
        len(chosen("minute", Settings.from_env())),
    ] == [0, 1]


def test_a_name_of_no_indicator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_INDICATORS", '["sma_20", "smma"]')

    with pytest.raises(InvalidDataError, match="smma"):
        chosen("daily", Settings.from_env())


def test_a_wrong_choice_does_not_keep_the_definitions_from_loading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_INDICATORS", '["smma"]')

    schema, descriptions = described("daily", Settings.from_env())

    assert set(descriptions) >= set(schema) - {"symbol", "session"}
