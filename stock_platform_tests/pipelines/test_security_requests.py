"""Details and changes of symbols cost few requests, and their failures nothing else."""

from datetime import date
from pathlib import Path

import pytest

from stock_platform.errors import InvalidDataError, NotEntitledError, TransientError
from stock_platform.pipelines.reference import take_snapshots
from stock_platform.pipelines.universe import securities
from stock_platform_tests.pipelines.exchange import Life
from stock_platform_tests.pipelines.test_symbol_spans import (
    FACEBOOK,
    FIRST,
    LAST,
    OLD,
    RENAMED,
    knowing,
    lake,
)


def test_only_new_and_changed_securities_are_asked_about_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(securities, "SECURITIES_MAX", 2)
    listed = [Life(symbol=f"OLD{n}", figi=f"BBG0000OLD{n}") for n in range(9)]
    new = [
        Life(symbol=f"NEW{n}", figi=f"BBG0000NEW{n}", first=date(2026, 6, 10 + n))
        for n in (1, 5, 6)
    ]
    vendor = knowing([*listed, *new])
    context = lake(tmp_path)

    take_snapshots(context, vendor, [FIRST, LAST])
    assert vendor.asked == ["NEW6", "NEW5"]
    take_snapshots(context, vendor, [FIRST, LAST])
    take_snapshots(context, vendor, [FIRST, LAST])

    assert vendor.asked == ["NEW6", "NEW5", "NEW1"]


def test_a_new_security_is_asked_about_once_more_when_its_change_may_be_told(
    tmp_path: Path,
) -> None:
    context = lake(tmp_path)
    vendor = knowing([OLD, *FACEBOOK])
    for day in context.calendar.sessions(FIRST, LAST):
        take_snapshots(context, vendor, [FIRST, day])

    assert vendor.asked == ["META", "META"]


@pytest.mark.parametrize("error", [NotEntitledError("not in the plan"), TransientError("busy")])
def test_a_refusal_ends_the_asking_and_keeps_the_snapshots(
    tmp_path: Path, error: Exception
) -> None:
    def fails(_: str) -> None:
        raise error

    new = [Life(symbol=f"NEW{n}", first=RENAMED) for n in range(5)]
    vendor = knowing([OLD, *new], fails=fails)
    context = lake(tmp_path)

    take_snapshots(context, vendor, [FIRST, LAST])

    assert len(vendor.asked) == 1
    assert context.universe(RENAMED) == ["NEW0", "NEW1", "NEW2", "NEW3", "NEW4", "OLD"]


def test_a_broken_answer_costs_no_other_security(tmp_path: Path) -> None:
    def fails(symbol: str) -> None:
        if symbol == "NEW0":
            raise InvalidDataError("no object")

    new = [Life(symbol=f"NEW{n}", first=RENAMED) for n in range(3)]
    vendor = knowing([OLD, *new], fails=fails)

    take_snapshots(lake(tmp_path), vendor, [FIRST, LAST])

    assert sorted(vendor.asked) == ["NEW0", "NEW1", "NEW2"]
