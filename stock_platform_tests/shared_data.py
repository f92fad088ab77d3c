"""Where the real market data for tests lies: beside the checkout, never inside it."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MINUTE_FILES = sorted((SHARED / "minute").glob("*.csv"))
DAILY_FILES = sorted((SHARED / "daily").glob("*.csv"))
PROTOCOL = SHARED / "protocol" / "massive_rest"
