"""Request budgets shared between processes: in a SQLite file or in Redis."""

import tempfile
from pathlib import Path

from stock_platform.providers.rate_limit.limiter import RateLimitStore
from stock_platform.settings import Settings


def budget_location(settings: Settings) -> str:
    """Return where budgets are counted: as set, else in a hidden folder of a local lake."""
    if settings.requests.budget:
        return settings.requests.budget
    lake = settings.lake.lake
    home = Path(tempfile.gettempdir()) if "://" in lake else Path(lake)
    return str(home / ".requests" / "budget.sqlite")


def open_store(where: str) -> RateLimitStore:
    """Open redis://..., rediss://... or a SQLite file that all processes share."""
    if where.startswith(("redis://", "rediss://", "unix://")):
        from stock_platform.providers.rate_limit.redis import RedisStore

        return RedisStore(where)
    from stock_platform.providers.rate_limit.sqlite import SqliteStore

    return SqliteStore(Path(where))
