"""`python -m stock_platform.simulator [SCRIPT.yaml] [PORT]`."""

import sys
from pathlib import Path

from stock_platform.simulator.command import simulate

if __name__ == "__main__":
    simulate(
        Path(sys.argv[1]) if len(sys.argv) > 1 else None,
        int(sys.argv[2]) if len(sys.argv) > 2 else 0,
    )
