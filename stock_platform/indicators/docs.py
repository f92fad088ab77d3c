"""The generated part of docs/indicators.md: what the registry holds, in a table.

`python -m stock_platform.indicators.docs docs/indicators.md` brings the
document up to date; a test fails while it is not.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from stock_platform.errors import InvalidDataError
from stock_platform.indicators.indicator import Indicator
from stock_platform.indicators.registry import builtin

BEGIN, END = "<!-- begin generated: indicators -->", "<!-- end generated: indicators -->"


def section(indicators: Sequence[Indicator]) -> str:
    """Write one row per output column, and one per indicator that carries a state."""
    lines = [
        "| column | unit | bars | warm-up | what it is |",
        "|---|---|---|---|---|",
        *(
            f"| `{column.name}` | {column.unit} | {_timeframes(indicator)} | {indicator.warmup} "
            f"| {indicator.title}: {column.doc} |"
            for indicator in indicators
            for column in indicator.columns
        ),
        "",
        "| carried on by | state columns | what a start without a state has forgotten |",
        "|---|---|---|",
        *(
            f"| `{indicator.name}` | {', '.join(f'`{c.name}`' for c in indicator.state)} "
            f"| {_forgotten(indicator)} |"
            for indicator in indicators
            if indicator.recursion
        ),
    ]
    return "\n".join(lines)


def updated(document: str, indicators: Sequence[Indicator]) -> str:
    """Put the section between the marks of a document; raise `InvalidDataError` without them."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise InvalidDataError(f"the document has no {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{section(indicators)}\n\n{END}{tail}"


def _timeframes(indicator: Indicator) -> str:
    return " and ".join(sorted(indicator.timeframes))


def _forgotten(indicator: Indicator) -> str:
    recursion = indicator.recursion
    if recursion is None or recursion.weight is None:
        return "its level: the total restarts at the first bar read, differences are right"
    bars = indicator.lookback - indicator.warmup
    left = (1.0 - recursion.weight) ** bars * (1 + recursion.weight * bars)
    return f"all but {left:.0e} of the difference in its starting values"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8"), builtin()), encoding="utf-8")
