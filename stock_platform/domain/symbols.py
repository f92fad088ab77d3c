"""One spelling of a stock symbol, and one safe name for it in a path.

Vendors list `BRK.B`, `BF/B`, `BC-`, `BCpA`: dots, slashes, dashes and case all
carry meaning, so a symbol is kept exactly as the exchange writes it and only
its path form is escaped. `BCPA` and `BCpA` are two companies' securities; on a
file system that ignores case they must still be two files.
"""

import re
from typing import NewType

from stock_platform.errors import InvalidDataError

Symbol = NewType("Symbol", str)

LENGTH_MAX = 32
"""Longer than any listed symbol; what is longer is an attack or a mistake."""

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9./:^=+*#$_-]{0,31}$"
"""The accepted form, for vectorised checks (the same rule as `parse_symbol`)."""

_FORM = re.compile(PATTERN)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL"} | {f"{port}{n}" for port in ("COM", "LPT") for n in range(10)}
)


def parse_symbol(text: str) -> Symbol:
    """Accept `text` as a symbol unchanged, or raise `Malformed` saying why not."""
    if not text:
        raise InvalidDataError("a symbol is a non-empty text")
    if len(text) > LENGTH_MAX:
        raise InvalidDataError(f"a symbol has at most {LENGTH_MAX} characters, found {len(text)}")
    if not _FORM.fullmatch(text) or ".." in text or "//" in text:
        raise InvalidDataError(
            f"a symbol starts with a letter or digit and holds letters, digits "
            f"and ./:^=+*#$_- only, found {text!a}"
        )
    return Symbol(text)


def to_path(symbol: Symbol) -> str:
    """Name `symbol` in a path: injective, also where case is ignored.

    Upper-case letters, digits, `-` and `_` stand for themselves, every other
    character is `%XX`; device names of Windows get their first letter escaped.
    """
    escaped = "".join(c if c in _PLAIN else f"%{ord(c):02X}" for c in symbol)
    return f"%{ord(symbol[0]):02X}{escaped[1:]}" if symbol in _DEVICES else escaped


def from_path(name: str) -> Symbol:
    """Read back what `to_path` wrote; raise `Malformed` for anything else."""
    text = re.sub(r"%([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), name)
    symbol = parse_symbol(text)
    if to_path(symbol) != name:
        raise InvalidDataError(f"not a symbol's path name: {name[:80]!a}")
    return symbol
