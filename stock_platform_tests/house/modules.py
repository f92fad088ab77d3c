"""The package as Python sees it: modules, what they import, the classes they define."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stock_platform_tests.house.repository import code, tree

PACKAGE = "stock_platform"


def module_of(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> Mapping[str, tuple[Path, ast.Module]]:
    """Return every module of the package, parsed."""
    return {module_of(path): (path, tree(path)) for path in code()}


def imports() -> dict[str, set[str]]:
    """Return the modules each module imports anywhere: late and type-only ones included."""
    known = set(modules())
    return {
        name: {found for node in ast.walk(parsed) for found in _imported(node, known)} - {name}
        for name, (_, parsed) in modules().items()
    }


def _imported(node: ast.AST, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if inner in known:
                yield inner
            elif node.module in known:
                yield node.module


def cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the sets of nodes that reach each other (Tarjan, without recursion)."""
    index, low, stack, found = dict[str, int](), dict[str, int](), list[str](), list[list[str]]()
    for root in graph:
        work = [] if root in index else [(root, iter(sorted(graph[root])))]
        while work:
            node, edges = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
            for target in edges:
                if target not in index:
                    work.append((target, iter(sorted(graph[target]))))
                    break
                if target in stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    found.append(sorted(stack[at:]))
                    del stack[at:]
    return [component for component in found if len(component) > 1]


@dataclass(frozen=True, slots=True)
class ClassFound:
    """One class statement of the package."""

    path: Path
    node: ast.ClassDef

    @property
    def bases(self) -> set[str]:
        return {ast.unparse(base).split("[")[0].split(".")[-1] for base in self.node.bases}

    @property
    def place(self) -> str:
        return f"{self.path}:{self.node.lineno} {self.node.name}"


def classes() -> Iterator[ClassFound]:
    """Return every class of the package."""
    for path, parsed in modules().values():
        for node in ast.walk(parsed):
            if isinstance(node, ast.ClassDef):
                yield ClassFound(path, node)
