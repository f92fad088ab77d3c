"""Closures and early closes announced after the calendar library was released."""

from datetime import date, time
from pathlib import Path

import pytest

from stock_platform.domain.sessions import Calendar, Overrides
from stock_platform.errors import InvalidDataError
from stock_platform_tests.domain.examples import DAY, REGULAR


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "overrides.yaml"


def test_a_file_names_closures_and_early_closes(file: Path) -> None:
    file.write_text('closed: [2026-11-18]\nearly_closes: {2026-11-19: "13:00"}\n')

    overrides = Overrides.from_file(file)

    assert overrides == Overrides(frozenset({date(2026, 11, 18)}), {DAY: time(13)})


def test_a_closed_day_is_no_session_any_more() -> None:
    calendar = Calendar(overrides=Overrides(closed=frozenset({DAY})))

    assert REGULAR.is_session(DAY)
    assert not calendar.is_session(DAY)
    assert calendar.closed_days(DAY, DAY) == [DAY]
    assert calendar.previous(date(2026, 11, 20)) == date(2026, 11, 18)


@pytest.mark.parametrize(("extended", "expected"), [(False, 210), (True, 780)])
def test_an_announced_half_day_is_as_any_other(*, extended: bool, expected: int) -> None:
    calendar = Calendar(extended=extended, overrides=Overrides(early_closes={DAY: time(13)}))

    assert calendar.grid(DAY).expected == expected
    assert calendar.grid(DAY).width == calendar.width


@pytest.mark.parametrize("clock", ["13:00", '"13:00"', "'13:00:00'", "780"])
def test_a_clock_needs_no_quotes(file: Path, clock: str) -> None:
    file.write_text(f"early_closes: {{2026-11-19: {clock}}}")

    assert Overrides.from_file(file).early_closes == {DAY: time(13)}


@pytest.mark.parametrize("day", ["2026-11-19", '"2026-11-19"', "2026-11-19 00:00:00"])
def test_a_day_is_a_day_however_yaml_reads_it(file: Path, day: str) -> None:
    file.write_text(f"closed: [{day}]")

    assert Overrides.from_file(file).closed == {DAY}


@pytest.mark.parametrize("text", ["", "closed:\n", "{}", "closed: []\nearly_closes: {}"])
def test_an_empty_file_overrides_nothing(file: Path, text: str) -> None:
    file.write_text(text)

    assert Overrides.from_file(file) == Overrides()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("closed: [", id="broken YAML"),
        pytest.param("closed: [2026-13-45]", id="no such day"),
        pytest.param("closed: 2026-11-19", id="one day instead of a list"),
        pytest.param("closed: [[2026-11-19]]", id="nested list"),
        pytest.param("holidays: [2026-11-19]", id="unknown key"),
        pytest.param("{1: 2, b: 3}", id="unknown keys of several kinds"),
        pytest.param("- 2026-11-19", id="a list"),
        pytest.param("just text", id="a text"),
        pytest.param("early_closes: [2026-11-19]", id="early close without a clock"),
        pytest.param('early_closes: {2026-11-19: "25:00"}', id="no such clock"),
        pytest.param('early_closes: {2026-11-19: "09:00"}', id="before the opening"),
        pytest.param('early_closes: {2026-11-19: "16:00"}', id="not early"),
        pytest.param('early_closes: {2026-11-19: "13:00+00:00"}', id="a clock elsewhere"),
        pytest.param("early_closes: {2026-11-19: -5}", id="a negative clock"),
    ],
)
def test_a_wrong_file_is_malformed_and_named(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(InvalidDataError, match=r"overrides\.yaml"):
        Overrides.from_file(file)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"closed: [\x00]"])
def test_a_file_of_bytes_is_malformed(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(InvalidDataError):
        Overrides.from_file(file)


def test_an_absent_file_is_malformed(file: Path) -> None:
    with pytest.raises(InvalidDataError):
        Overrides.from_file(file)
