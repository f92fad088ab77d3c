"""A process of its own that spends from a shared budget until its time is up.

Run as `python -m stock_platform_tests.providers.spender STORE SECONDS`; prints the
instants (ms) at which it was allowed to ask.
"""

import sys
import time

from stock_platform.domain.problems import Transient
from stock_platform.providers.budget import SharedBudget, to_rates
from stock_platform.providers.budget_stores import open_store

PER_SECOND = 5


def main(where: str, seconds: float) -> None:
    store = open_store(where)
    budget = SharedBudget("vendor", to_rates(per_second=PER_SECOND), store, wait_max_s=0.3)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            budget.spend()
        except Transient:
            continue
        print(time.time_ns() // 1_000_000, flush=True)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
