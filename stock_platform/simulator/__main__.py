"""`python -m stock_platform.simulator [SCRIPT.yaml | -] [PORT]`; - is the default market."""

import sys
from pathlib import Path

from stock_platform.simulator.server import simulate

if __name__ == "__main__":
    scenario, port = (*sys.argv[1:3], *("-", "0")[len(sys.argv) - 1 :])[:2]
    simulate(None if scenario == "-" else Path(scenario), int(port))
