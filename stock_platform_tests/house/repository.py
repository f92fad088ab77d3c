"""What is in the repository, as git knows it: tracked files and those about to be."""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(*suffixes: str) -> list[Path]:
    """Return the paths of the files in the repository or about to be, relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    return sorted(path for path in paths if not suffixes or path.suffix in suffixes)


def top_level() -> set[str]:
    """Return the names git keeps at the root; a stray log beside them is nobody's business."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {Path(line).parts[0] for line in listed.stdout.splitlines()}


def text(path: Path | str) -> str:
    """Read a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def code(folder: str = "stock_platform") -> list[Path]:
    """Return the Python files below a folder."""
    return [path for path in files(".py") if path.parts[0] == folder]


def tree(path: Path) -> ast.Module:
    """Parse a Python file."""
    return ast.parse(text(path))


def documents() -> str:
    """Return the text of every document for people, joined."""
    return "\n".join(text(path) for path in files(".md"))
