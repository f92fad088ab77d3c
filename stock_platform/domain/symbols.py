"""What a stock symbol is: one rule for texts, columns and lists of them.

Vendors list `BRK.B`, `BF/B`, `BC-`, `BCpA`: dots, slashes, dashes and case all
carry meaning, so a symbol is kept exactly as the exchange writes it.
"""

import re
from typing import NewType

import polars as pl

from stock_platform.errors import InvalidDataError

Symbol = NewType("Symbol", str)

LENGTH_MAX = 32
"""Longer than any listed symbol; what is longer is an attack or a mistake."""

_FORM = rf"[A-Za-z0-9][A-Za-z0-9./:^=+*#$_-]{{0,{LENGTH_MAX - 1}}}"
_REFUSED_INSIDE = ("..", "//")
_TEXT_FORM = re.compile(_FORM)


def is_symbol(text: str) -> bool:
    """Return whether `text` is a symbol: `is_symbol("BRK.B")`."""
    return bool(_TEXT_FORM.fullmatch(text)) and not any(part in text for part in _REFUSED_INSIDE)


def is_symbol_expr(column: pl.Expr) -> pl.Expr:
    """Return the same rule over a column of text; null is no symbol."""
    # Rust's `$` matches at the very end only, as `fullmatch` does: not before a newline.
    form = column.str.contains(f"^{_FORM}$")
    refused = [column.str.contains(part, literal=True) for part in _REFUSED_INSIDE]
    return (form & ~pl.any_horizontal(refused)).fill_null(value=False)


def parse_symbol(text: str) -> Symbol:
    """Return `text` unchanged as a symbol; raise `InvalidDataError` naming what is wrong."""
    if not text:
        raise InvalidDataError("a symbol is a non-empty text")
    if len(text) > LENGTH_MAX:
        raise InvalidDataError(f"a symbol has at most {LENGTH_MAX} characters, found {len(text)}")
    if not is_symbol(text):
        raise InvalidDataError(
            f"a symbol starts with a letter or digit and holds letters, digits "
            f"and ./:^=+*#$_- only, found {text!a}"
        )
    return Symbol(text)


def parse_symbols(text: str) -> tuple[Symbol, ...]:
    """Return the symbols of a list separated by commas; raise `InvalidDataError` for a wrong one.

    parse_symbols("AAPL, BRK.B") == ("AAPL", "BRK.B")
    """
    return tuple(parse_symbol(part.strip()) for part in text.split(",") if part.strip())
