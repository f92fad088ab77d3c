"""Answers and rejected rows: kept once, folded without loss, however often they come."""

from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from stock_platform.domain.rejections import REJECTED
from stock_platform.domain.responses import ProviderResponse
from stock_platform.domain.revision import Revision
from stock_platform.lake import append_log, tables
from stock_platform.lake.append_log import (
    compact_quarantine,
    compact_responses,
    expire_quarantine,
    read_responses,
    record_responses,
)
from stock_platform.lake.object_store import ObjectStore
from stock_platform_tests.domain.examples import DAY, at, bars_of
from stock_platform_tests.lake.quarantined import read_quarantine


def response(symbol: str, minute: int = 0, outcome: str = "ok") -> ProviderResponse:
    return ProviderResponse(
        provider="massive",
        session=DAY,
        symbols=(symbol,),
        first=at("14:30") + timedelta(minutes=minute),
        last=at("15:30"),
        asked_at=at("22:00"),
        revision=Revision.REST,
        outcome=outcome,
        bars=bars_of([(symbol, minute)]),
    )


def rejected(*symbols: str, observed_at: str = "15:00") -> pl.DataFrame:
    return pl.DataFrame(
        [
            ("minute_bars", "massive", name, None, "volume is negative", "{}", at(observed_at))
            for name in symbols
        ],
        schema=REJECTED,
        orient="row",
    )


def answers_kept(store: ObjectStore) -> int:
    return len(store.list(tables.folder("answers", DAY)))


def test_answers_are_read_back(store: ObjectStore) -> None:
    record_responses(store, DAY, [response("A"), response("B", outcome="refused")])

    found = read_responses(store, DAY).select("symbol", "outcome", "revision", "bars").rows()
    assert found == [("A", "ok", "rest", 1), ("B", "refused", "rest", 1)]


def test_the_same_answers_again_add_nothing(store: ObjectStore) -> None:
    record_responses(store, DAY, [response("A"), response("B")])
    record_responses(store, DAY, [response("B"), response("A")])

    assert (answers_kept(store), read_responses(store, DAY).height) == (1, 2)


def test_no_answers_leave_no_object(disk: ObjectStore) -> None:
    assert record_responses(disk, DAY, []) == 0
    assert disk.list("") == []


def test_folding_answers_loses_none(store: ObjectStore) -> None:
    for minute in range(5):
        record_responses(store, DAY, [response("A", minute)])
    before = read_responses(store, DAY)

    assert compact_responses(store, DAY) == 5
    assert answers_kept(store) == 1
    assert read_responses(store, DAY).equals(before)
    assert compact_responses(store, DAY) == 0


def test_the_number_of_parts_is_bounded(disk: ObjectStore) -> None:
    for minute in range(append_log.PARTS_MAX + 3):
        record_responses(disk, DAY, [response("A", minute)])

    assert answers_kept(disk) <= append_log.PARTS_MAX
    assert read_responses(disk, DAY).height == append_log.PARTS_MAX + 3


def test_a_fold_stopped_before_its_deletions_doubles_nothing(disk: ObjectStore) -> None:
    record_responses(disk, DAY, [response("A")])
    record_responses(disk, DAY, [response("B")])
    united = read_responses(disk, DAY)
    append_log.append(disk, "answers", DAY, united)

    assert (answers_kept(disk), read_responses(disk, DAY).height) == (3, 2)
    compact_responses(disk, DAY)
    assert (answers_kept(disk), read_responses(disk, DAY).equals(united)) == (1, True)


def test_rejected_rows_are_kept_with_their_reason(store: ObjectStore) -> None:
    assert append_log.record_rejected(store, rejected("A", "B")) == 2

    kept = read_quarantine(store, DAY)
    assert kept.select("symbol", "reason").rows() == [
        ("A", "volume is negative"),
        ("B", "volume is negative"),
    ]


def test_rows_rejected_again_add_nothing_alone_or_among_others(store: ObjectStore) -> None:
    append_log.record_rejected(store, rejected("A", "B"))

    assert append_log.record_rejected(store, rejected("A", "B")) == 0
    assert append_log.record_rejected(store, rejected("B", observed_at="18:00")) == 0
    assert append_log.record_rejected(store, rejected("B", "C", observed_at="18:00")) == 1
    assert read_quarantine(store, DAY)["symbol"].to_list() == ["A", "B", "C"]


def test_no_rejected_rows_leave_no_object(disk: ObjectStore) -> None:
    assert append_log.record_rejected(disk, rejected()) == 0
    assert disk.list("") == []


def test_folding_the_quarantine_loses_none(disk: ObjectStore) -> None:
    for name in "ABC":
        append_log.record_rejected(disk, rejected(name))
    before = read_quarantine(disk, DAY)

    assert compact_quarantine(disk, DAY) == 3
    assert read_quarantine(disk, DAY).equals(before)


def test_rejected_rows_are_kept_for_a_named_number_of_days(disk: ObjectStore) -> None:
    append_log.record_rejected(disk, rejected("A"))

    assert expire_quarantine(disk, DAY + timedelta(days=400)) == 0
    assert expire_quarantine(disk, DAY + timedelta(days=401)) == 1
    assert read_quarantine(disk, DAY).is_empty()


def test_a_row_belongs_to_the_day_it_was_refused(disk: ObjectStore) -> None:
    append_log.record_rejected(disk, rejected("A"))

    assert read_quarantine(disk, date(2026, 11, 20)).is_empty()
    assert Decimal(read_quarantine(disk, DAY).height) == 1
