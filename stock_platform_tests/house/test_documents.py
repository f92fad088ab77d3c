"""The documents say what the code does: settings, commands, metrics, assets, promises."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from stock_platform.cli import app
from stock_platform_tests.house.repository import ROOT, code, documents, files, text, tree
from stock_platform_tests.house.settings_document import (
    CONFIGURATION,
    ENV_EXAMPLE,
    configuration,
    env_example,
)

GUARANTEES, FAULTS = Path("docs/guarantees.md"), Path("docs/faults.md")
METRICS = {"Counter", "Gauge", "Histogram", "Summary", "Info"}
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")
TEST = re.compile(r"(stock_platform_tests/[\w/]+\.py)(?:::(\w+))?")
TARGET = re.compile(r"`make ([a-z-]+)")
COMMAND = re.compile(r"`stocks ([a-z]+)")


def test_env_example_is_what_make_docs_writes() -> None:
    assert text(ENV_EXAMPLE) == env_example()


def test_the_configuration_page_is_what_make_docs_writes() -> None:
    assert text(CONFIGURATION) == configuration()


def test_every_command_is_documented() -> None:
    undocumented = [name for name in _commands() if f"stocks {name}" not in documents()]

    assert undocumented == []


def test_every_command_documented_exists() -> None:
    assert set(COMMAND.findall(documents())) - set(_commands()) == set()


def test_every_metric_is_documented() -> None:
    undocumented = [name for name in _metrics() if name not in documents()]

    assert undocumented == []


def test_every_make_target_documented_exists() -> None:
    assert set(TARGET.findall(documents())) - _targets() == set()


def test_every_make_target_is_in_the_help() -> None:
    told = re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE)

    assert set(told) == _targets()


@pytest.mark.parametrize("path", files(".md"), ids=str)
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    targets = [target for target, _ in LINK.findall(text(path)) if "://" not in target]
    broken = [target for target in targets if not (ROOT / path.parent / target).exists()]

    assert broken == []


def test_every_page_links_to_the_glossary() -> None:
    pages = [path for path in files(".md") if path.parent == Path("docs")]
    without = [path for path in pages if "(glossary.md" not in text(path)]

    assert without == [Path("docs/glossary.md")]


def test_every_test_named_in_a_document_exists() -> None:
    named = set(TEST.findall(documents()))
    missing = [f"{path}::{name}" for path, name in named if not _is_there(path, name)]

    assert missing == []


@pytest.mark.parametrize("number", range(1, 14))
def test_every_promise_names_its_test(number: int) -> None:
    [row] = [line for line in text(GUARANTEES).splitlines() if line.startswith(f"| P{number} ")]

    assert TEST.search(row)


def test_every_fault_is_in_the_catalogue() -> None:
    catalogue = text(FAULTS) if (ROOT / FAULTS).exists() else ""
    missing = [name for name in _fault_tests() if name not in catalogue]

    assert missing == []


def _commands() -> list[str]:
    group = typer.main.get_command(app)
    return sorted(getattr(group, "commands", {}))


def _metrics() -> Iterator[str]:
    for path in code():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and _is_metric(node.func) and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield name.value


def _is_metric(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in METRICS or name.endswith("MetricFamily")


def _targets() -> set[str]:
    phony = re.findall(r"^\.PHONY: ([a-z -]+)$", text("Makefile"), re.MULTILINE)
    return {name for line in phony for name in line.split()} - {"uv"}


def _is_there(path: str, name: str) -> bool:
    if not (ROOT / path).is_file():
        return False
    return (
        not name or re.search(rf"^\s*(async )?def {name}\(", text(path), re.MULTILINE) is not None
    )


def _fault_tests() -> Iterator[str]:
    for path in code("stock_platform_tests"):
        if path.parent.name == "faults" and path.stem != "test_catalogue":
            for node in tree(path).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    yield node.name
