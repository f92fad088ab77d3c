"""Imports run one way, also those inside functions and those for types only."""

import ast

from stock_platform_tests.house.exceptions import READ_SETTINGS
from stock_platform_tests.house.modules import cycles, imports, modules


def test_no_module_imports_itself_by_a_detour() -> None:
    assert cycles(imports()) == []


def test_a_detour_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}

    assert cycles(graph) == [["b", "c"]]


def test_settings_are_read_by_entry_points_only() -> None:
    assert [path for path in settings_readers() if not path.startswith(tuple(READ_SETTINGS))] == []


def settings_readers() -> set[str]:
    """Return the files that read the settings from the environment."""
    return {path.as_posix() for path, parsed in modules().values() if _reads(parsed)}


def _reads(parsed: ast.Module) -> bool:
    loaders = {
        alias.asname or alias.name
        for node in ast.walk(parsed)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_SETTINGS)
        for alias in node.names
        if alias.name == "load"
    }
    return any(
        isinstance(node, ast.Call) and _called(node.func) & (loaders | {"Settings.from_env"})
        for node in ast.walk(parsed)
    )


_SETTINGS = "stock_platform.settings"


def _called(function: ast.expr) -> set[str]:
    return {ast.unparse(function)}
