"""Every dependency is used: a package that nothing uses is one more that can be stolen."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions

from stock_platform_tests.house.repository import code, files, text, tree

USED_WITHOUT_AN_IMPORT = {
    # The webserver is a process of its own: `stocks dev`, the images.
    "dagster-webserver": "dagster_webserver",
    # Named by the instance's configuration only.
    "dagster-postgres": "postgres_db",
    # Time zones where the system has none: Windows, slim images. `zoneinfo` finds it by itself.
    "tzdata": "ZoneInfo",
}
"""Distribution: the word in code or configuration that needs it."""


def test_every_dependency_is_used() -> None:
    imported = {name.split(".")[0] for path in code() for name in _imports(tree(path))}
    modules = packages_distributions()
    unused = [
        name
        for name in _dependencies()
        if not imported & {module for module, owners in modules.items() if name in _plain(owners)}
        and not _named_in_configuration(name, modules)
        and name not in USED_WITHOUT_AN_IMPORT
    ]

    assert unused == []


def test_what_is_used_without_an_import_is_still_needed() -> None:
    texts = "\n".join(text(path) for path in [*code(), *files(".yaml")])
    gone = [name for name, word in USED_WITHOUT_AN_IMPORT.items() if word not in texts]

    assert gone == []
    assert set(USED_WITHOUT_AN_IMPORT) <= set(_dependencies())


def _dependencies() -> list[str]:
    declared = tomllib.loads(text("pyproject.toml"))["project"]["dependencies"]
    return [re.split(r"[^A-Za-z0-9_.-]", each)[0].lower() for each in declared]


def _plain(owners: list[str]) -> set[str]:
    return {owner.lower().replace("_", "-") for owner in owners}


def _imports(module: ast.Module) -> set[str]:
    nodes = list(ast.walk(module))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}


def _named_in_configuration(name: str, modules: dict[str, list[str]]) -> bool:
    """Whether a YAML file names one of its modules: `module: dagster_aws...`."""
    owned = [module for module, owners in modules.items() if name in _plain(owners)]
    texts = [text(path) for path in files(".yaml")]
    return any(f"module: {module}" in each for module in owned for each in texts)
