"""Names the package defines, and whether anything but a test uses them."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stock_platform_tests.house.modules import modules
from stock_platform_tests.house.repository import files, text

_WORD = re.compile(r"[A-Za-z_]\w*")
_DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_TEXTS = (".sql", ".toml", ".yaml", ".html", ".j2", ".txt", ".css")


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, method or class of the package; `owner` is the class it stands in."""

    path: Path
    line: int
    owner: str
    name: str

    @property
    def qualified(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.qualified}"


def unused() -> list[Definition]:
    """Return the definitions nothing in the package refers to.

    Decorated ones are left out: Dagster, typer, pydantic and alembic call what they
    decorate. So are the names an outside class calls by (dunders, `visit_...`).
    """
    used = _used()
    return [found for found in _definitions() if not used[found.name]]


def _definitions() -> Iterator[Definition]:
    for path, parsed in modules().values():
        for node in parsed.body:
            if isinstance(node, _DEFINED):
                yield from _defined(path, node, "")
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, _DEFINED):
                        yield from _defined(path, inner, node.name)


def _defined(
    path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, owner: str
) -> Iterator[Definition]:
    called_by_others = [d for d in node.decorator_list if not _is_plain(d)]
    if not called_by_others and not node.name.startswith("__"):
        yield Definition(path, node.lineno, owner, node.name)


def _is_plain(decorator: ast.expr) -> bool:
    name = ast.unparse(decorator).split("(")[0].split(".")[-1]
    return name in {"dataclass", "property", "classmethod", "staticmethod", "cache",
                    "cached_property", "contextmanager", "asynccontextmanager", "lru_cache",
                    "override", "final", "runtime_checkable"}  # fmt: skip


@cache
def _used() -> Counter[str]:
    """Count the places that refer to a name: code, texts that name it, templates, settings."""
    found = Counter[str]()
    for _, parsed in modules().values():
        for node in ast.walk(parsed):
            found.update(_referred(node))
    for path in files(*_TEXTS):
        if path.parts[0] == "stock_platform" or len(path.parts) == 1:
            found.update(_WORD.findall(text(path)))
    return found


def _referred(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # A name in a text: `getattr`, `__all__`, an annotation in quotes, an import by path.
        return _WORD.findall(node.value) if len(node.value) < 200 and " " not in node.value else []
    return []
