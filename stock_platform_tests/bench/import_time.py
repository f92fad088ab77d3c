"""What imports cost: `import stock_platform`, and loading the definitions as Dagster does.

Each figure is the median of seven fresh processes with warm bytecode; a first run of each
is not counted. Run in two checkouts side by side, the medians are comparable.
"""

import os
import statistics
import subprocess
import sys

from stock_platform_tests.bench.report import Report

TIMES = 7
_IMPORT = (
    "import time; t = time.perf_counter(); import stock_platform; print(time.perf_counter() - t)"
)
_LOAD = (
    "import time; t = time.perf_counter();"
    "import dagster as dg; from stock_platform import definitions;"
    "d = definitions.defs; d = d if isinstance(d, dg.Definitions) else d();"
    "d = d if isinstance(d, dg.Definitions) else d.load_fn();"
    "d.get_repository_def(); print(time.perf_counter() - t)"
)


def seconds(code: str) -> float:
    """Return the median of what `code` prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = [
        float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for _ in range(TIMES + 1)
    ]
    return statistics.median(found[1:])


def main() -> None:
    report = Report("imports")
    report.add("import_stock_platform", seconds(_IMPORT), "s", "< 0.3")
    report.add("load_definitions", seconds(_LOAD), "s")
    report.finish()


if __name__ == "__main__":
    main()
