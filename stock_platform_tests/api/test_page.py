"""The page, the exports and the examples are one thing."""

import ast
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

import stock_platform as sp
from stock_platform.indicators import registry
from stock_platform_tests.api.conftest import daily_rows
from stock_platform_tests.house.api_document import API, entries, examples, exported, page
from stock_platform_tests.house.repository import ROOT, text


def test_the_page_is_what_make_docs_writes() -> None:
    assert text(API) == page()


def test_exported_names_are_those_of_the_page() -> None:
    assert sorted(exported()) == sorted(sp.__all__)
    assert set(sp.__all__) <= set(dir(sp))


def test_stubs_and_lazy_names_are_the_exported_ones() -> None:
    source = ast.parse((ROOT / "stock_platform/__init__.py").read_text())
    stub = next(node for node in source.body if isinstance(node, ast.If))
    imported = [n for n in stub.body if isinstance(n, ast.ImportFrom)]
    typed = {alias.name: node.module for node in imported for alias in node.names}

    assert typed == sp._HOME  # pyright: ignore[reportPrivateUsage]
    assert sorted([*typed, "__version__"]) == sorted(sp.__all__)


def test_a_name_that_is_not_exported_raises() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_lakes'"):
        sp.open_lakes  # type: ignore[attr-defined]  # noqa: B018


def test_every_function_has_an_example() -> None:
    found = [entry for name in ("open_lake", "Lake") for entry in entries(name)]
    found += [entry for name in ("compute_indicators", "indicator") for entry in entries(name)]

    assert [entry.heading for entry in found if not entry.example] == []


@pytest.mark.parametrize("example", examples())
def test_every_example_runs(
    example: str, lake: sp.Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(registry, "_declared", {})
    example = example.replace('"./data"', f'"{folder}"')
    bars = daily_rows().filter(symbol="AAPL")
    names = {"sp": sp, "lake": lake, "bars": bars, "pl": pl, "date": date, "datetime": datetime}

    exec(compile(example, "docs/api.md", "exec"), names)


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["polars", "duckdb", "dagster", "numpy", "pydantic", "boto3"]
    code = f"import sys, stock_platform; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
