"""One way to print what a bench measured: a table for people, one JSON line for machines."""

import json
import operator
import os
import platform
import sys
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass
class Report:
    """Collects figures in the order they were measured."""

    title: str
    figures: dict[str, dict[str, object]] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, target: str = "") -> None:
        """Record a figure; `target` is like "< 5" and compared with the value, or empty."""
        ok = True
        if target:
            symbol, bound = target.split(maxsplit=1)
            ok = bool(_OPERATORS[symbol](value, float(bound)))
        self.figures[name] = {"value": round(value, 4), "unit": unit, "target": target, "ok": ok}
        print(f"  {name}: {value:.4g} {unit} {target and f'(target {target})'}", file=sys.stderr)

    def finish(self) -> None:
        """Print the table, and as the last line of stdout one JSON object of every figure."""
        table = Table("figure", "value", "unit", "target", "", title=self.title)
        for name, figure in self.figures.items():
            table.add_row(
                name,
                f"{figure['value']:,}",
                str(figure["unit"]),
                str(figure["target"]),
                ("ok" if figure["ok"] else "MISSED") if figure["target"] else "",
            )
        console = Console(width=110)
        console.print(
            f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        console.print(table)
        print(json.dumps(self.figures))
