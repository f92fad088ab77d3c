"""Symbols: what is accepted, and a path name that never collides or escapes."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars
from stock_platform.domain.symbols import LENGTH_MAX, Symbol, from_path, parse_symbol, to_path
from stock_platform.errors import InvalidDataError
from stock_platform_tests.domain.examples import raw_bars

ALPHABET = "ABCXYZabcxyz0189./:^=+*#$_-"
LOOKS_LIKE_A_SYMBOL = st.text(ALPHABET, min_size=1, max_size=LENGTH_MAX)
NEAR_SYMBOLS = (
    LOOKS_LIKE_A_SYMBOL | st.text(max_size=40) | st.text(ALPHABET + "\n\0% é", max_size=40)
)
DEVICES = ["CON", "PRN", "AUX", "NUL", "COM1", "COM9", "LPT1", "LPT9"]


def is_accepted(text: str) -> bool:
    try:
        return parse_symbol(text) == text
    except InvalidDataError:
        return False


SYMBOLS = LOOKS_LIKE_A_SYMBOL.filter(is_accepted).map(Symbol)


@pytest.mark.parametrize(
    "text", ["A", "BRK.B", "BF/B", "BC-", "BCpA", "I:SPX", "BRK-B", "CON", "NULL", "0700.HK"]
)
def test_what_exchanges_write_is_kept_as_it_is(text: str) -> None:
    assert parse_symbol(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("A" * 300, id="300 characters"),
        pytest.param("A" * (LENGTH_MAX + 1), id="one character too many"),
        pytest.param("\u0410APL", id="Cyrillic A"),
        pytest.param("\uff21APL", id="full-width A"),
        pytest.param("AAPL\u200b", id="zero-width space"),
        pytest.param("../../etc/passwd", id="path traversal"),
        pytest.param("A/../../B", id="traversal inside"),
        pytest.param("/etc", id="absolute path"),
        pytest.param("A//B", id="doubled slash"),
        pytest.param("A\\B", id="backslash"),
        pytest.param("A\0", id="NUL"),
        pytest.param("A\x1b[2J", id="escape sequence"),
        pytest.param("AAPL\n", id="newline at the end"),
        pytest.param("A\nB", id="newline inside"),
        pytest.param(" AAPL", id="space"),
        pytest.param("A?B", id="query"),
        pytest.param("A%2E", id="percent sign"),
        pytest.param("-rf", id="option"),
        pytest.param(".A", id="hidden file"),
    ],
)
def test_what_is_no_symbol_is_malformed(text: str) -> None:
    with pytest.raises(InvalidDataError):
        parse_symbol(text)


def test_the_message_about_a_bad_symbol_is_short_and_printable() -> None:
    with pytest.raises(InvalidDataError) as raised:
        parse_symbol("\x1b" * LENGTH_MAX)

    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK%2EB"),
        ("BF/B", "BF%2FB"),
        ("BC-", "BC-"),
        ("BCpA", "BC%70A"),
        ("NUL", "%4EUL"),
        ("COM1", "%43OM1"),
    ],
)
def test_a_path_name_is_readable_where_it_can_be(text: str, name: str) -> None:
    assert to_path(parse_symbol(text)) == name


@given(SYMBOLS)
def test_a_path_name_reads_back_as_its_symbol(symbol: Symbol) -> None:
    assert from_path(to_path(symbol)) == symbol


@given(SYMBOLS, SYMBOLS)
def test_two_symbols_differ_in_their_path_even_where_case_is_ignored(
    one: Symbol, other: Symbol
) -> None:
    same_file = to_path(one).casefold() == to_path(other).casefold()

    assert same_file == (one == other)


def test_case_twins_are_two_files() -> None:
    names = {to_path(Symbol(text)).casefold() for text in ("BCPA", "BCpA", "bcpa", "BCPa")}

    assert len(names) == 4


@given(SYMBOLS)
def test_a_path_name_is_one_harmless_component(symbol: Symbol) -> None:
    name = to_path(symbol)

    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_%")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [str.upper, str.lower, str.title])
def test_no_path_is_a_device_of_windows(device: str, shape: object) -> None:
    name = to_path(parse_symbol(shape(device)))  # type: ignore[operator]

    assert name.upper() not in DEVICES


@given(st.text(max_size=40) | st.text(ALPHABET + "%", max_size=40))
def test_any_file_name_is_a_symbol_or_malformed(name: str) -> None:
    try:
        symbol = from_path(name)
    except InvalidDataError:
        return

    assert to_path(symbol) == name


@pytest.mark.parametrize("name", ["BRK.B", "BRK%2eB", "%41APL", "CON", "%", "A%00", "%2E%2E", ""])
def test_a_name_that_to_path_never_writes_is_malformed(name: str) -> None:
    with pytest.raises(InvalidDataError):
        from_path(name)


@given(st.lists(NEAR_SYMBOLS.filter(lambda text: text.isascii() or text.isprintable())))
def test_the_vectorised_rule_is_the_rule(texts: list[str]) -> None:
    raw = (
        raw_bars(max(len(texts), 1))
        .head(len(texts))
        .with_columns(pl.Series("symbol", texts, pl.String))
    )

    sifted = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")

    assert sifted.bars["symbol"].to_list() == [text for text in texts if is_accepted(text)]
