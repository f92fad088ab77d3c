"""`Lake`: frames equal to the SQL views, one truth of coverage and gaps, healing."""

from datetime import date, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import duckdb
import polars as pl
import pytest

import stock_platform as sp
from stock_platform.errors import PermanentError
from stock_platform.indicators import registry
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.write import publish_daily_bars
from stock_platform_tests.api.conftest import DAYS, SYMBOLS, daily_rows

DAY = DAYS[1]


def names_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Enum).cast(pl.String))


def test_minute_bars_are_those_of_the_view(lake: sp.Lake) -> None:
    bars = lake.minute_bars(DAYS[0], DAYS[1])

    wanted = lake.sql("select * from minute_bars order by session, symbol, minute")
    assert names_as_text(bars).equals(wanted.select(bars.columns))


def test_adjusted_minute_bars_are_those_of_the_view(lake: sp.Lake) -> None:
    bars = lake.minute_bars(DAYS[0], DAYS[1], adjusted=True)

    wanted = lake.sql("select * from minute_bars_adjusted order by session, symbol, minute")
    assert bars.columns == wanted.columns
    assert names_as_text(bars).equals(wanted)


def test_daily_bars_are_those_of_the_view(lake: sp.Lake) -> None:
    bars = lake.daily_bars("2025-12-01", DAY)

    wanted = lake.sql("select * from daily_bars order by symbol, session")
    assert names_as_text(bars).equals(wanted)


def test_adjusted_daily_bars_are_those_of_the_view(lake: sp.Lake) -> None:
    bars = lake.daily_bars("2026-11-02", DAY, adjusted=True)

    text = "select * from daily_bars_adjusted where session >= '2026-11-02' order by 1, 2"
    assert bars.columns == lake.sql(text).columns
    assert names_as_text(bars).equals(lake.sql(text))
    assert set(bars["split_factor"]) == {0.25, 1.0}
    assert bars.filter(symbol="MSFT")["dividend_factor"].n_unique() == 2


@pytest.mark.parametrize("adjusted", [False, True])
def test_a_lazy_frame_collects_to_the_eager_one(lake: sp.Lake, *, adjusted: bool) -> None:
    lazy = lake.minute_bars(DAYS[0], DAY, ["MSFT"], adjusted=adjusted, lazy=True)

    eager = lake.minute_bars(DAYS[0], DAY, ["MSFT"], adjusted=adjusted)
    assert lazy.collect().equals(eager)
    assert lazy.collect_schema() == eager.schema
    query = lazy.filter(pl.col("volume") > 0).select("session", "close")
    assert query.collect().equals(eager.filter(pl.col("volume") > 0).select("session", "close"))
    assert lazy.head(3).collect().equals(eager.head(3))


@pytest.mark.parametrize("adjusted", [False, True])
def test_lazy_daily_bars_collect_to_the_eager_ones(lake: sp.Lake, *, adjusted: bool) -> None:
    lazy = lake.daily_bars("2026-01-02", DAY, adjusted=adjusted, lazy=True)

    eager = lake.daily_bars("2026-01-02", DAY, adjusted=adjusted)
    assert lazy.collect().equals(eager)
    assert lazy.collect_schema() == eager.schema


def test_a_weekend_has_no_bars(lake: sp.Lake) -> None:
    bars = lake.minute_bars("2026-11-21", "2026-11-22")

    assert bars.height == 0
    assert bars.schema == lake.minute_bars(DAY).schema


def test_symbols_choose_rows(lake: sp.Lake) -> None:
    assert set(lake.minute_bars(DAY, symbols=["AAPL", "NOPE"])["symbol"]) == {"AAPL"}
    assert set(lake.daily_bars(DAY, symbols=["BRK.B"])["symbol"]) == {"BRK.B"}


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2026-11-20", "2026-11-19", "the first session 2026-11-20 is after the last 2026-11-19"),
        ("20.11.2026", None, "a session is a date such as 2026-11-20, found '20.11.2026'"),
        (datetime(2026, 11, 20), None, "a session is a date, found the instant"),  # noqa: DTZ001
    ],
)
def test_a_wrong_range_is_refused(
    lake: sp.Lake, first: str | date, last: str | None, message: str
) -> None:
    with pytest.raises(sp.InvalidDataError, match=message):
        lake.minute_bars(first, last)


def test_a_missing_minute_is_a_gap(lake: sp.Lake) -> None:
    gaps = lake.gaps(DAYS[0], DAYS[1])

    opened = lake.calendar.grid(DAYS[0]).opens_at
    assert gaps.rows() == [("AAPL", DAYS[0], opened, opened, 1)]


def test_gaps_and_coverage_agree(lake: sp.Lake, never_ingested: date) -> None:
    for session in (*DAYS, never_ingested):
        missing = lake.coverage(session)["missing"].sum()

        assert lake.gaps(session)["minutes"].sum() == missing


def test_a_session_never_ingested_is_missing_as_a_whole(
    tmp_path: Path, environment: dict[str, str], never_ingested: date
) -> None:
    lake = sp.open_lake(str(tmp_path))

    coverage, gaps = lake.coverage(never_ingested), lake.gaps(never_ingested)

    grid = lake.calendar.grid(never_ingested)
    assert coverage["symbol"].to_list() == list(SYMBOLS)
    assert set(coverage["missing"]) == {grid.expected}
    last = grid.closes_at - timedelta(minutes=1)
    row = (grid.opens_at, last, grid.expected)
    assert gaps.rows() == [(symbol, never_ingested, *row) for symbol in SYMBOLS]


def test_healing_fills_what_is_missing(
    tmp_path: Path, environment: dict[str, str], never_ingested: date
) -> None:
    lake = sp.open_lake(str(tmp_path))

    outcome = lake.heal(never_ingested)

    assert outcome.missing_before == 3 * lake.calendar.grid(never_ingested).expected
    assert (outcome.missing, outcome.failed, outcome.rejected) == (0, 0, 0)
    assert lake.minute_bars(never_ingested).height == outcome.found > 0
    assert lake.gaps(never_ingested).height == 0
    again = lake.heal(never_ingested)
    assert (again.calls, again.found) == (0, 0)


def test_stored_indicators_are_read_by_name(lake: sp.Lake) -> None:
    stored = lake.indicators("daily", names=["rsi_14"], first="2026-03-02", symbols=["AAPL"])

    assert stored.columns == ["symbol", "session", "rsi_14"]
    computed = sp.compute_indicators(daily_rows(), ["rsi_14"])
    computed = computed.filter(pl.col("session") >= date(2026, 3, 2), symbol="AAPL")
    assert stored.equals(computed)


def test_all_stored_indicators_come_without_names(lake: sp.Lake) -> None:
    assert set(lake.indicators("daily").columns) == {"symbol", "session", "rsi_14", "ema_20"}
    assert lake.indicators("minute").columns == ["symbol", "minute", "session"]


def test_an_unknown_indicator_is_refused(lake: sp.Lake) -> None:
    with pytest.raises(sp.InvalidDataError, match="rsy_14"):
        lake.indicators("daily", names=["rsy_14"])


def test_sql_reads_and_nothing_else(lake: sp.Lake) -> None:
    assert lake.sql("select 1 as one").rows() == [(1,)]
    with pytest.raises(sp.PermanentError, match="SELECT"):
        lake.sql("create table t as select 1")


def test_a_connection_reads_one_snapshot(tmp_path: Path, environment: dict[str, str]) -> None:
    store, rows = FileStore.open(tmp_path), daily_rows()
    publish_daily_bars(store, rows.head(2))
    connection = sp.open_lake(str(tmp_path)).connect()
    assert connection.sql("select count(*) from daily_bars").fetchall() == [(2,)]

    publish_daily_bars(store, rows.head(5))

    with connection, pytest.raises(duckdb.Error):
        connection.sql("select sum(volume) from daily_bars").fetchall()
    with sp.open_lake(str(tmp_path)).connect() as later:
        assert later.sql("select count(*) from daily_bars").fetchall() == [(5,)]


def test_a_folder_that_is_not_there_is_refused_in_one_line(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with pytest.raises(sp.PermanentError) as refused:
        sp.open_lake(str(tmp_path / "nowhere"))

    assert str(refused.value) == f"there is no lake in {tmp_path}/nowhere: no such folder"
    assert list(tmp_path.iterdir()) == []


def test_one_symbol_may_be_given_as_text(lake: sp.Lake) -> None:
    assert lake.minute_bars(DAY, symbols="AAPL").equals(lake.minute_bars(DAY, symbols=["AAPL"]))


@pytest.mark.parametrize("symbols", [[None, "AAPL"], [1, 2], 5])
def test_a_symbol_that_is_no_text_is_refused(lake: sp.Lake, symbols: list[str]) -> None:
    with pytest.raises(sp.InvalidDataError, match="a symbol is text"):
        lake.daily_bars(DAY, symbols=symbols)


def test_an_unknown_timeframe_is_refused(lake: sp.Lake) -> None:
    with pytest.raises(sp.InvalidDataError, match="'hourly'"):
        lake.indicators("hourly")  # pyright: ignore[reportArgumentType]


def test_a_lake_is_opened_by_a_path_but_not_by_nothing(lake: sp.Lake) -> None:
    assert sp.open_lake(Path(lake.location)).location == lake.location
    with pytest.raises(sp.PermanentError, match="is empty"):
        sp.open_lake("")


def test_a_package_that_cannot_be_loaded_fails_only_who_names_its_indicators(
    lake: sp.Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = EntryPoint("sick", "no_such_package:one", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [sick])

    assert lake.indicators("daily", names=["rsi_14"]).columns[:2] == ["symbol", "session"]
    assert lake.indicators("daily").columns[:2] == ["symbol", "session"]
    with pytest.raises(PermanentError, match="sick"):
        lake.indicators("daily", names=["its_own"])
