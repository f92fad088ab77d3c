"""Writes `docs/api.md` from the docstrings of what `stock_platform` exports."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import stock_platform

API = Path("docs/api.md")

SECTIONS: dict[str, tuple[str, ...]] = {
    "The lake": (
        "open_lake",
        "Lake",
        "Corrections",
        "HealOutcome",
        "Certificate",
        "Defect",
        "Calendar",
    ),
    "Indicators": ("compute_indicators", "indicator"),
    "Errors": (
        "PlatformError",
        "TransientError",
        "PermanentError",
        "InvalidDataError",
        "NotEntitledError",
    ),
    "Extension points": (
        "MinuteBarSource",
        "SessionSource",
        "DailySource",
        "QuoteSource",
        "ReferenceSource",
        "Sink",
    ),
    "Version": ("__version__",),
}

ERRORS_EXAMPLE = """\
try:
    lake.heal("2026-11-20")
except sp.TransientError as error:
    print("try again later", error)
except sp.PlatformError as error:
    print("trying again cannot help", error)
"""

DAGSTER_EXAMPLE = '''\
import dagster as dg

from stock_platform.components.duckdb import LakeDuckDB


@dg.asset
def busiest_symbols(duckdb: LakeDuckDB) -> dg.MaterializeResult:
    """The ten symbols with the highest volume of the last stored session."""
    with duckdb.get_connection() as connection:
        rows = connection.sql("""
            select symbol, sum(volume) as volume
            from minute_bars
            where session = (select max(session) from minute_bars)
            group by symbol order by volume desc, symbol limit 10
        """).fetchall()
    table = "\\n".join(f"| {symbol} | {volume:,.0f} |" for symbol, volume in rows)
    return dg.MaterializeResult(
        metadata={"busiest": dg.MetadataValue.md(f"| symbol | volume |\\n|---|---|\\n{table}")}
    )


defs = dg.Definitions(assets=[busiest_symbols], resources={"duckdb": LakeDuckDB()})
'''

_HEAD = """\
# Python API

Written by `make docs` from the docstrings; do not edit. Every example is run by a test.

```python
import stock_platform as sp
```

The package is typed (`py.typed`). A name is imported when it is first used. Sessions are dates of
XNYS, given as `date` or ISO text; instants are UTC; frames are polars. Columns are on
[data](data.md), settings on [configuration](configuration.md), words in the
[glossary](glossary.md).
"""

_DAGSTER = """\
## In a Dagster asset

The resource `duckdb` is dagster-duckdb's `DuckDBResource` over the tables and views of the lake:
read-only, one snapshot a connection. An asset or check of your own uses it like this:

```python
{example}```
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of the page: how it is called, what it does, an example."""

    heading: str
    signature: str
    text: str
    example: str


def page() -> str:
    """Return the text of `docs/api.md`."""
    parts = [_HEAD]
    for section, names in SECTIONS.items():
        parts.append(f"## {section}\n")
        if section == "Errors":
            parts.append(f"```python\n{ERRORS_EXAMPLE}```\n")
        parts += [_markdown(entry) for name in names for entry in entries(name)]
    return "\n".join([*parts, _DAGSTER.format(example=DAGSTER_EXAMPLE)])


def examples() -> list[str]:
    """Return every example of the page that stands for itself, in its order."""
    found = [entry.example for name in exported() for entry in entries(name) if entry.example]
    return [*found, ERRORS_EXAMPLE]


def exported() -> list[str]:
    """Return the names of the page, in its order."""
    return [name for names in SECTIONS.values() for name in names]


def entries(name: str) -> Iterator[Entry]:
    """Yield the entry of an exported name, then those of a class's public members."""
    if name == "__version__":
        yield Entry("`__version__`", "", "The installed version, as text.", "sp.__version__\n")
        return
    value = getattr(stock_platform, name)
    text, example = _split(inspect.getdoc(value) or "")
    signature = "" if inspect.isclass(value) else f"{name}{inspect.signature(value)}"
    yield Entry(f"`{name}`", signature, text, example)
    if name == "Lake" or getattr(value, "_is_protocol", False):
        for member, found in vars(value).items():
            if not member.startswith("_") and inspect.getdoc(found):
                yield _member(name, member, found)


def _member(owner: str, name: str, value: object) -> Entry:
    text, example = _split(inspect.getdoc(value) or "")
    if isinstance(value, property):
        return Entry(f"`{owner}.{name}`", "", text, example)
    assert inspect.isfunction(value)
    signature = inspect.signature(value)
    own = [p for p in signature.parameters.values() if p.name != "self"]
    return Entry(f"`{owner}.{name}`", f"{name}{signature.replace(parameters=own)}", text, example)


def _split(doc: str) -> tuple[str, str]:
    """Return a docstring's prose and its indented block, the example."""
    match = re.search(r"\n\n((?: {4}.*\n?|\n+(?= {4}))+)$", doc.rstrip() + "\n")
    if match is None:
        return doc.strip(), ""
    return doc[: match.start()].strip(), textwrap.dedent(match[1]).rstrip() + "\n"


def _markdown(entry: Entry) -> str:
    lines = [f"### {entry.heading}\n"]
    if entry.signature:
        lines.append(f"```python\n{_short(entry.signature)}\n```\n")
    lines.append(f"{entry.text}\n")
    if entry.example:
        lines.append(f"Example:\n\n```python\n{entry.example}```\n")
    return "\n".join(lines)


def _short(signature: str) -> str:
    """Return a signature without the modules of its types, a parameter a line if it is long."""
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", signature)
    text = text.replace("datetime.date", "date")
    # The order of a set differs from one run to the next.
    text = re.sub(r"frozenset\({(.*?)}\)", _sorted_set, text)
    if len(text) <= 100:
        return text
    name, rest = text.split("(", 1)
    inside, after = rest.rsplit(")", 1)
    split = re.split(r", (?![^\[(]*[\])])", inside)
    return f"{name}(\n" + "".join(f"    {part},\n" for part in split) + f"){after}"


def _sorted_set(match: re.Match[str]) -> str:
    return f"frozenset({{{', '.join(sorted(match[1].split(', ')))}}})"
