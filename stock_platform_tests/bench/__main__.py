"""Run the benches of a suite one after the other, each in a process of its own.

`python -m stock_platform_tests.bench lake` prints what every bench prints and,
as the last line of stdout, one JSON object with the figures of all of them. A
bench that fails is named there too, and the exit code is 1.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

SUITES = {
    "stream": re.compile(r"stream.*"),
    "indicators": re.compile(r"indicators.*|postgres.*"),
    "lake": re.compile(r".*"),
}
"""Names of the benches by suite; one that fits two belongs to the first."""


def benches(suite: str) -> list[str]:
    """Return the benches of a suite: the modules of this folder that run and report, by name."""
    texts = {path.stem: path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))}
    runnable = [
        name
        for name, text in texts.items()
        # What a bench starts as a process of its own can be run too, but reports nothing.
        if name != "__main__" and 'if __name__ == "__main__"' in text and "import Report" in text
    ]
    return [
        name
        for name in runnable
        if next(key for key, names in SUITES.items() if names.fullmatch(name)) == suite
    ]


def main(suite: str) -> int:
    """Print the benches of `suite`; return the exit code."""
    figures: dict[str, object] = {}
    failed: list[str] = []
    for name in benches(suite):
        print(f"--- {name}", file=sys.stderr, flush=True)
        measured = _run(name)
        if measured is None:
            failed.append(name)
        else:
            figures.update(measured)
    if failed:
        figures["benches_failed"] = {
            "value": len(failed),
            "unit": ", ".join(failed),
            "target": "< 1",
            "ok": False,
        }
    print(json.dumps(figures))
    return 1 if failed else 0


def _run(name: str) -> dict[str, object] | None:
    """Pass a bench's output on, but for its last line: give that, or None when it failed."""
    command = [sys.executable, "-m", f"{__package__}.{name}"]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bench:
        for line in bench.stdout or ():
            if last:
                print(last, flush=True)
            last = line.rstrip("\n")
    if bench.returncode == 0 and last.startswith("{"):
        return json.loads(last)
    print(last)
    return None


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SUITES:
        sys.exit(f"usage: python -m {__package__} {'|'.join(SUITES)}")
    sys.exit(main(sys.argv[1]))
