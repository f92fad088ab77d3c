"""A security survives its symbol, whatever a vendor gets wrong about it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.coverage import CONNECTIONS
from stock_platform.domain.reference import SYMBOLS_ADDED
from stock_platform.healing.anomalies import refuted_listing_dates
from stock_platform.lake import parquet, read, stream_parts, tables
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import query
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.daily_bars import DailyBarIngest
from stock_platform.pipelines.reference import take_snapshots
from stock_platform.providers.sources import SecurityDetails
from stock_platform.settings import HealingSettings, MarketSettings
from stock_platform_tests.pipelines.exchange import SINCE_EVER, Exchange, KnowingExchange, Life

FIRST, LAST = date(2026, 6, 1), date(2026, 6, 30)
RENAMED = date(2026, 6, 9)
NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)
FACEBOOK = [
    Life(symbol="FB", figi="BBG000MM2P62", last=RENAMED),
    Life(symbol="META", figi="BBG000MM2P62", first=RENAMED),
]
OLD = Life(symbol="OLD", figi="BBG000000OLD")


def lake(folder: Path, symbols: str | None = None, first: date = FIRST) -> LakeContext:
    market = MarketSettings(symbols=symbols, first_session=first, last_session=LAST)  # pyright: ignore[reportArgumentType]
    return LakeContext(FileStore.open(folder), market, HealingSettings())


def spans(context: LakeContext, symbol: str) -> list[tuple[str, date | None, date | None]]:
    rows = read.table(context.store, "symbol_spans", None)
    of_symbol = rows.filter(rows["symbol"] == symbol)
    return of_symbol.select("security", "from_on", "to_on").rows()


def test_a_renamed_security_is_one_with_two_spans(tmp_path: Path) -> None:
    context = lake(tmp_path)

    take_snapshots(context, Exchange([OLD, *FACEBOOK], NOW), [FIRST, LAST])

    assert spans(context, "FB") == [("BBG000MM2P62", None, RENAMED)]
    assert spans(context, "META") == [("BBG000MM2P62", RENAMED, None)]
    rows = read.table(context.store, "securities", None)
    assert dict(rows.select("security", "symbol").rows())["BBG000MM2P62"] == "META"


def test_a_recycled_ticker_is_two_securities(tmp_path: Path) -> None:
    before, after = date(2026, 6, 4), date(2026, 6, 18)
    lives = [
        OLD,
        Life(symbol="META", figi="BBG00ROUNDHILL", last=before),
        Life(symbol="META", figi="BBG000MM2P62", first=after),
    ]
    context = lake(tmp_path)

    take_snapshots(context, Exchange(lives, NOW), [FIRST, LAST])

    assert spans(context, "META") == [
        ("BBG00ROUNDHILL", None, before),
        ("BBG000MM2P62", after, None),
    ]
    assert context.universe(date(2026, 6, 10)) == ["OLD"]


def test_a_ticker_recycled_from_one_day_to_the_next_is_never_joined(tmp_path: Path) -> None:
    lives = [
        Life(symbol="X", figi="BBG00000ONE", last=RENAMED),
        Life(symbol="X", figi="BBG00000TWO", first=RENAMED),
    ]
    context = lake(tmp_path)

    take_snapshots(context, Exchange([OLD, *lives], NOW), [FIRST, LAST])

    assert spans(context, "X") == [("BBG00000ONE", None, RENAMED), ("BBG00000TWO", RENAMED, None)]


@pytest.mark.parametrize("figi", ["BBG000000FLK", None])
def test_a_flicker_of_the_list_is_no_delisting(tmp_path: Path, figi: str | None) -> None:
    absent = date(2026, 6, 16)
    flickers = Life(symbol="FLK", figi=figi, absent_on=(absent,))
    gone = Life(symbol="GONE", last=date(2026, 6, 17))
    context = lake(tmp_path)
    for day in context.calendar.sessions(FIRST, LAST):
        take_snapshots(context, Exchange([OLD, flickers, gone], NOW), [day])

    assert spans(context, "FLK") == [(figi or "FLK", None, None)]
    assert "FLK" in context.universe(absent)
    assert "GONE" not in context.universe(date(2026, 6, 17))


def test_an_identity_that_is_told_late_is_the_same_security(tmp_path: Path) -> None:
    listed = date(2026, 6, 4)
    context = lake(tmp_path)
    for day in context.calendar.sessions(FIRST, LAST):
        figi = "BBG000000IPO" if day > RENAMED and day.day % 5 else None
        life = Life(symbol="IPO", figi=figi, first=listed)
        take_snapshots(context, Exchange([OLD, life], NOW), [day])

    assert spans(context, "IPO") == [("BBG000000IPO", listed, None)]


def test_without_any_figi_a_symbol_is_its_own_security(tmp_path: Path) -> None:
    lives = [Life(symbol="AAA", last=RENAMED), Life(symbol="BBB", first=RENAMED)]
    context = lake(tmp_path)

    take_snapshots(context, Exchange([OLD, *lives], NOW), [FIRST, LAST])

    assert spans(context, "AAA") == [("AAA", None, RENAMED)]
    assert spans(context, "BBB") == [("BBB", RENAMED, None)]


def test_a_corrected_snapshot_corrects_the_spans(tmp_path: Path) -> None:
    context = lake(tmp_path)
    wrong = Life(symbol="ODD", figi="BBG000000ODD", absent_on=(LAST,))
    take_snapshots(context, Exchange([OLD, wrong], NOW), [FIRST, LAST])
    assert "ODD" not in context.universe(LAST)

    take_snapshots(context, Exchange([OLD, Life(symbol="ODD")], NOW), [FIRST, LAST])

    assert "ODD" in context.universe(LAST)


def knowing(lives: list[Life], **told: object) -> KnowingExchange:
    return KnowingExchange(lives, NOW, **told)  # pyright: ignore[reportArgumentType]


def details(symbol: str, listed_on: date, figi: str | None = None) -> SecurityDetails:
    return SecurityDetails(provider="massive", symbol=symbol, listed_on=listed_on, figi=figi)


def test_the_listing_date_of_who_had_the_ticker_before_is_passed_over(tmp_path: Path) -> None:
    """Published: ULTR was told as listed in 2006, it began in 2019."""
    begun = date(2026, 6, 11)
    vendor = knowing(
        [OLD, Life(symbol="ULTR", figi="BBG00000ULTR", first=begun)],
        details={"ULTR": details("ULTR", date(2006, 10, 13))},
    )
    context = lake(tmp_path)

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "ULTR") == [("BBG00000ULTR", begun, None)]
    named = refuted_listing_dates(
        read.table(context.store, "securities", None),
        read.table(context.store, "symbol_spans", None),
    )
    assert named.rows() == [("ULTR", "BBG00000ULTR", date(2006, 10, 13), begun)]


def test_bars_show_where_a_listing_between_two_snapshots_began(tmp_path: Path) -> None:
    begun = date(2026, 6, 11)
    vendor = knowing(
        [OLD, Life(symbol="ULTR", figi="BBG00000ULTR", first=begun)],
        details={"ULTR": details("ULTR", date(2006, 10, 13))},
    )
    context = lake(tmp_path, "ULTR")
    days = context.calendar.sessions(FIRST, LAST)
    DailyBarIngest(context=context, sources=[vendor], clock=lambda: NOW).fill(days)

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "ULTR") == [("BBG00000ULTR", begun, None)]


def test_details_date_a_listing_between_two_snapshots(tmp_path: Path) -> None:
    begun = date(2026, 6, 11)
    vendor = knowing(
        [OLD, Life(symbol="NEWCO", figi="BBG0000NEWCO", first=begun)],
        details={"NEWCO": details("NEWCO", begun)},
    )
    context = lake(tmp_path, "NEWCO")

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "NEWCO") == [("BBG0000NEWCO", begun, None)]


def test_details_of_another_security_are_not_believed(tmp_path: Path) -> None:
    vendor = knowing(
        [OLD, Life(symbol="NEWCO", figi="BBG0000NEWCO", first=date(2026, 6, 11))],
        details={"NEWCO": details("NEWCO", date(2026, 6, 5), figi="BBG00ANOTHER")},
    )
    context = lake(tmp_path, "NEWCO")

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "NEWCO") == [("BBG0000NEWCO", LAST, None)]


def test_a_listing_that_the_list_shows_days_late_begins_with_its_bars(tmp_path: Path) -> None:
    late = date(2026, 6, 15)
    newco = Life(symbol="NEWCO", figi="BBG0000NEWCO", first=RENAMED, listed_first=late)
    vendor = Exchange([OLD, newco], NOW)
    context = lake(tmp_path)
    take_snapshots(context, vendor, [FIRST, LAST])
    days = context.calendar.sessions(FIRST, LAST)
    assert "NEWCO" not in context.universe(RENAMED)

    DailyBarIngest(context=context, sources=[vendor], clock=lambda: NOW).fill(days)
    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "NEWCO") == [("BBG0000NEWCO", RENAMED, None)]
    assert "NEWCO" in context.universe(RENAMED)


def test_a_rename_that_the_list_shows_days_late_begins_where_the_old_symbol_left(
    tmp_path: Path,
) -> None:
    old, new = FACEBOOK
    late = Life(symbol=new.symbol, figi=new.figi, first=RENAMED, listed_first=date(2026, 6, 15))
    context = lake(tmp_path)

    take_snapshots(context, Exchange([OLD, old, late], NOW), [FIRST, LAST])

    assert spans(context, "META") == [("BBG000MM2P62", RENAMED, None)]
    assert context.universe(RENAMED) == ["META", "OLD"]


def test_a_change_told_with_a_wrong_day_is_where_the_lists_show_it(tmp_path: Path) -> None:
    vendor = knowing(
        [OLD, *FACEBOOK],
        changes={"BBG000MM2P62": [("FB", date(2012, 5, 18)), ("META", date(2026, 6, 22))]},
    )
    context = lake(tmp_path)

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "FB") == [("BBG000MM2P62", date(2012, 5, 18), RENAMED)]
    assert spans(context, "META") == [("BBG000MM2P62", RENAMED, None)]


def test_changes_join_what_has_no_figi(tmp_path: Path) -> None:
    """Published: HIIQ became BFYT, and the history broke in two without a link."""
    lives = [Life(symbol="HIIQ", last=RENAMED), Life(symbol="BFYT", first=RENAMED)]
    vendor = knowing(
        [OLD, *lives], changes={"BFYT": [("HIIQ", date(2013, 2, 8)), ("BFYT", RENAMED)]}
    )
    context = lake(tmp_path)

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "HIIQ") == [("BFYT", date(2013, 2, 8), RENAMED)]
    assert spans(context, "BFYT") == [("BFYT", RENAMED, None)]


def test_a_symbol_of_before_the_snapshots_is_known_from_changes(tmp_path: Path) -> None:
    context = lake(tmp_path, "META")
    vendor = knowing(
        [OLD, Life(symbol="META", figi="BBG000MM2P62")],
        changes={"BBG000MM2P62": [("FB", date(2012, 5, 18)), ("META", date(2022, 6, 9))]},
    )

    take_snapshots(context, vendor, [FIRST, LAST])

    assert spans(context, "FB") == [("BBG000MM2P62", date(2012, 5, 18), date(2022, 6, 9))]
    assert spans(context, "META") == [("BBG000MM2P62", date(2022, 6, 9), None)]
    assert context.universe(date(2021, 3, 1)) == ["FB", "META"]
    assert context.universe(date(2026, 6, 10)) == ["META"]


def test_a_watched_symbol_brings_the_symbols_its_security_had(tmp_path: Path) -> None:
    context = lake(tmp_path, "META")
    vendor = knowing(
        [OLD, *FACEBOOK],
        changes={"BBG000MM2P62": [("FB", date(2012, 5, 18)), ("META", RENAMED)]},
    )

    take_snapshots(context, vendor, [FIRST, LAST])

    assert "FB" in context.universe(date(2026, 6, 8))
    assert context.universe(RENAMED) == ["META"]


def test_the_silence_of_the_stream_speaks_of_the_watchlist_alone(tmp_path: Path) -> None:
    context = lake(tmp_path, "META")
    take_snapshots(context, Exchange([OLD, *FACEBOOK], NOW), [FIRST, LAST])
    grid = context.calendar.grid(FIRST)
    row = ("writer", "1", "AM", grid.opens_at, grid.closes_at + timedelta(minutes=1), None)
    alive = pl.DataFrame([row], schema=CONNECTIONS, orient="row")
    stream_parts.write_connections(context.store, FIRST, "writer", alive)

    coverage = context.derive(grid)

    assert coverage.symbols.tolist() == ["FB", "META"]
    assert coverage.bits["silent"].any(axis=1).tolist() == [False, True]


def test_a_symbol_of_two_securities_names_the_newest(tmp_path: Path) -> None:
    lives = [
        Life(symbol="META", figi="BBG00ROUNDHILL", last=date(2026, 6, 4)),
        Life(symbol="METV", figi="BBG00ROUNDHILL", first=date(2026, 6, 4)),
        Life(symbol="META", figi="BBG000MM2P62", first=RENAMED),
    ]
    context = lake(tmp_path, "META")

    take_snapshots(context, Exchange(lives, NOW), [FIRST, date(2026, 6, 5)])
    take_snapshots(context, Exchange(lives, NOW), [FIRST, LAST])

    assert context.universe(LAST) == ["META"]


def test_delisted_symbols_stay_in_history(tmp_path: Path) -> None:
    gone = date(2026, 6, 11)
    context = lake(tmp_path)

    take_snapshots(context, Exchange([OLD, Life(symbol="DEAD", last=gone)], NOW), [FIRST, LAST])

    assert context.universe(date(2026, 6, 10)) == ["DEAD", "OLD"]
    assert context.universe(gone) == ["OLD"]


def test_a_watched_symbol_that_is_delisted_stays_expected_before(tmp_path: Path) -> None:
    gone = date(2026, 6, 11)
    context = lake(tmp_path, "DEAD,OLD")
    vendor = knowing(
        [OLD, Life(symbol="DEAD", last=gone)],
        details={"DEAD": SecurityDetails(provider="massive", symbol="DEAD", delisted_on=gone)},
    )

    take_snapshots(context, vendor, [FIRST, LAST])

    assert context.universe(date(2026, 6, 10)) == ["DEAD", "OLD"]
    assert context.universe(gone) == ["OLD"]


def test_a_first_session_moved_back_is_listed_as_the_oldest_snapshot_until_one_is_taken(
    tmp_path: Path,
) -> None:
    context = lake(tmp_path)
    take_snapshots(context, Exchange([OLD, *FACEBOOK], NOW), [FIRST, LAST])
    earlier = date(2026, 5, 12)

    assert context.universe(earlier) == ["FB", "OLD"]
    assert earlier > SINCE_EVER


def test_one_query_follows_a_security_through_its_symbols(tmp_path: Path) -> None:
    context = lake(tmp_path)
    vendor = Exchange([OLD, *FACEBOOK], NOW)
    take_snapshots(context, vendor, [FIRST, LAST])
    days = context.calendar.sessions(FIRST, LAST)
    DailyBarIngest(context=context, sources=[vendor], clock=lambda: NOW).fill(days)

    for name in ("META", "FB", "BBG000MM2P62"):
        rows = query(
            context.store, f"select symbol, session from security_bars('{name}') order by session"
        ).rows()
        assert [day for _, day in rows] == days
        assert [symbol for symbol, day in rows] == [
            "FB" if day < RENAMED else "META" for day in days
        ]


def test_a_symbol_without_a_span_is_followed_as_itself(tmp_path: Path) -> None:
    context = lake(tmp_path, "OLD")
    DailyBarIngest(context=context, sources=[Exchange([OLD], NOW)], clock=lambda: NOW).fill([LAST])

    rows = query(context.store, "select symbol, security from security_bars('OLD')").rows()

    assert rows == [("OLD", "OLD")]


def test_snapshots_of_earlier_releases_are_read_beside_new_ones(tmp_path: Path) -> None:
    context = lake(tmp_path)
    take_snapshots(context, Exchange([OLD], NOW), [FIRST, LAST])
    middle = date(2026, 6, 15)
    before = read.table(context.store, "reference_symbols", FIRST).drop(SYMBOLS_ADDED)
    before = before.with_columns(as_of=middle)
    path = tables.data("reference_symbols", middle)
    context.store.put_if_absent(path, parquet.encode("reference_symbols", before))

    found = query(
        context.store,
        "select session, as_of, symbol, figi from reference_symbols order by session",
    )
    take_snapshots(context, Exchange([OLD, *FACEBOOK], NOW), [FIRST, LAST])

    assert found.rows() == [
        (FIRST, FIRST, "OLD", OLD.figi),
        (middle, middle, "OLD", None),
        (LAST, LAST, "OLD", OLD.figi),
    ]
    assert spans(context, "OLD") == [(OLD.figi, None, None)]
