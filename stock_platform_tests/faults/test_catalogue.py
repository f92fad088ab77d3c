"""docs/faults.md and the tests name each other."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CATALOGUE = (TESTS.parent / "docs" / "faults.md").read_text()


def sources(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("test_*.py"))


def test_every_row_names_a_test_that_exists() -> None:
    named = re.findall(r"\| `(test_\w+)` \|", CATALOGUE)
    written = sources(TESTS / "faults") + sources(TESTS / "stream")

    assert named
    assert [name for name in named if f"def {name}(" not in written] == []


def test_every_numbered_test_has_a_row() -> None:
    numbered = re.findall(r"def (test_f\d\d_\w+)\(", sources(TESTS / "faults"))

    assert [name for name in numbered if name not in CATALOGUE] == []
