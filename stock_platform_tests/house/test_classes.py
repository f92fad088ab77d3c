"""Classes: errors are errors, values are built by keyword, a name means one thing."""

import ast
import builtins
import re
from collections import Counter

from stock_platform_tests.house.exceptions import (
    CLASS_NAMES_TWICE,
    POSITIONAL_CLASSES,
)
from stock_platform_tests.house.modules import ClassFound, classes
from stock_platform_tests.house.repository import text

BUILTIN_ERRORS = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
FIELDS_MAX = 3
"""More fields than that are given by keyword: their order means nothing to a reader."""


def test_errors_end_in_error() -> None:
    found = [one.place for one in _errors().values() if not one.node.name.endswith("Error")]

    assert found == []


def test_errors_form_one_hierarchy() -> None:
    roots = {name for name, one in _errors().items() if one.bases & BUILTIN_ERRORS}

    assert roots == {"PlatformError"}


def test_the_picture_of_the_errors_is_the_code() -> None:
    drawn = re.findall(r"^ +(\w+Error) --> (\w+Error)", text("docs/architecture.md"), re.MULTILINE)
    coded = [
        (parent, name) for name, one in _errors().items() for parent in one.bases - BUILTIN_ERRORS
    ]

    assert sorted(drawn) == sorted(coded)


def test_a_value_of_many_fields_is_built_by_keyword() -> None:
    found = [one for one in classes() if is_positional(one)]

    assert [one.place for one in found if one.node.name not in POSITIONAL_CLASSES] == []


def test_a_class_name_is_defined_once() -> None:
    counted = Counter(one.node.name for one in classes())
    places = [one.place for one in classes() if counted[one.node.name] > 1]

    assert [place for place in places if place.split()[1] not in CLASS_NAMES_TWICE] == []


def _errors() -> dict[str, ClassFound]:
    """Return the classes that derive from an exception, at any depth."""
    found = dict[str, ClassFound]()
    while True:
        known = found.keys() | BUILTIN_ERRORS
        more = {one.node.name: one for one in classes() if one.bases & known}
        if len(more) == len(found):
            return found
        found = more


def is_positional(one: ClassFound) -> bool:
    """Return whether it is a dataclass of many fields that may be built by position."""
    decorators = [d for d in one.node.decorator_list if "dataclass" in ast.unparse(d)]
    fields = [
        node
        for node in one.node.body
        if isinstance(node, ast.AnnAssign)
        and "ClassVar" not in ast.unparse(node.annotation)
        and "init=False" not in ast.unparse(node)
    ]
    given = [d for d in decorators if "kw_only=True" not in ast.unparse(d)]
    marked = any(_marks(node) for node in one.node.body)
    return bool(given) and len(fields) > FIELDS_MAX and not marked


def _marks(node: ast.stmt) -> bool:
    """Return whether a field says that the ones after it are given by keyword."""
    return isinstance(node, ast.AnnAssign) and "KW_ONLY" in ast.unparse(node.annotation)
