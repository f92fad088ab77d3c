"""Symbols: what is accepted, and one rule for texts, columns and lists."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain import bars
from stock_platform.domain.symbols import (
    LENGTH_MAX,
    is_symbol,
    is_symbol_expr,
    parse_symbol,
    parse_symbols,
)
from stock_platform.errors import InvalidDataError
from stock_platform_tests.domain.examples import raw_bars

ALPHABET = "ABCXYZabcxyz0189./:^=+*#$_-"
LOOKS_LIKE_A_SYMBOL = st.text(ALPHABET, min_size=1, max_size=LENGTH_MAX)
NEAR_SYMBOLS = (
    LOOKS_LIKE_A_SYMBOL | st.text(max_size=40) | st.text(ALPHABET + "\n\0% é", max_size=40)
)


def is_accepted(text: str) -> bool:
    try:
        return parse_symbol(text) == text
    except InvalidDataError:
        return False


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


@given(st.lists(NEAR_SYMBOLS.filter(lambda text: text.isascii() or text.isprintable())))
def test_the_vectorised_rule_is_the_rule(texts: list[str]) -> None:
    raw = (
        raw_bars(max(len(texts), 1))
        .head(len(texts))
        .with_columns(pl.Series("symbol", texts, pl.String))
    )

    sifted = bars.validate_bars(raw, bars.MINUTE_BARS, dataset="minute_bars")

    assert sifted.bars["symbol"].to_list() == [text for text in texts if is_accepted(text)]


@given(st.lists(NEAR_SYMBOLS | st.none()))
def test_a_column_a_text_and_a_list_follow_one_rule(texts: list[str | None]) -> None:
    column = pl.Series("symbol", texts, pl.String)

    accepted = pl.select(is_symbol_expr(pl.lit(column))).to_series().to_list()

    assert accepted == [text is not None and is_accepted(text) for text in texts]
    assert accepted == [text is not None and is_symbol(text) for text in texts]


def test_a_list_of_symbols_is_separated_by_commas() -> None:
    assert parse_symbols(" AAPL,BRK.B ,, ") == ("AAPL", "BRK.B")
    with pytest.raises(InvalidDataError, match="letters, digits"):
        parse_symbols("AAPL,..")
