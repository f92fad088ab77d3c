"""Where the real market data for tests lies: beside the checkout, never inside it.

Its licences do not let us carry it along. Who has no such folder sees these tests
skipped, with the reason; CI has it and insists (`STOCKS_SHARED_DATA=required`).
"""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MINUTE_FILES = sorted((SHARED / "minute").glob("*.csv"))
DAILY_FILES = sorted((SHARED / "daily").glob("*.csv"))
PROTOCOL = SHARED / "protocol" / "massive_rest"

if not SHARED.is_dir() and os.environ.get("STOCKS_SHARED_DATA") != "required":
    pytest.skip("needs real market data in ../shared/data", allow_module_level=True)
