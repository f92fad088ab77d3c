"""One word for one idea, in names and in texts of the package."""

import ast

from stock_platform_tests.house.repository import code, tree
from stock_platform_tests.house.vocabulary import (
    REFUSED_OPENINGS,
    refused_names,
    refused_phrases,
)


def test_no_name_is_one_that_was_replaced() -> None:
    found = [line for path in code() for line in refused_names(path)]

    assert found == []


def test_no_text_speaks_of_a_process_as_of_a_person() -> None:
    found = [line for path in code() for line in refused_phrases(path)]

    assert found == []


def test_a_docstring_begins_with_what_is_done() -> None:
    openings = tuple(REFUSED_OPENINGS)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{path}:{getattr(node, 'lineno', 1)} {docstring.splitlines()[0]}"
        for path in code()
        for node in ast.walk(tree(path))
        if isinstance(node, documented)
        and (docstring := ast.get_docstring(node) or "").startswith(openings)
    ]

    assert found == []
