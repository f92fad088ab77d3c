"""A process of its own that spends from a shared budget until nothing is left.

Run as `python -m stock_platform_tests.providers.spender STORE START`; it begins at the
Unix time START, so that several begin together, and prints how often it was allowed to ask.
"""

import sys
import time

from stock_platform.errors import TransientError
from stock_platform.providers.rate_limit import open_store
from stock_platform.providers.rate_limit.limiter import SharedRateLimiter, to_rates

PER_MINUTE = 400


def main(where: str, start: float) -> None:
    store = open_store(where)
    budget = SharedRateLimiter("vendor", to_rates(per_minute=PER_MINUTE), store, wait_max_s=0.0)
    time.sleep(max(0.0, start - time.time()))
    allowed = 0
    try:
        while True:
            budget.acquire()
            allowed += 1
    except TransientError:
        print(allowed)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
