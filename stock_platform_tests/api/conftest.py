"""A lake of the demo's shape, made once: minutes, days, corporate actions and indicators."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import stock_platform as sp
from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.reference import DIVIDENDS, DIVIDENDS_KEY, SPLITS, SPLITS_KEY
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.domain.examples import bars_of

SYMBOLS = ("AAPL", "BRK.B", "MSFT")
CALENDAR = sp.Calendar()
DAYS = (date(2026, 11, 19), date(2026, 11, 20))
"""With published minutes: the first without the opening minute of AAPL."""
SEEN = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def never_ingested() -> date:
    """Return a session that has long settled and of which the lake has nothing."""
    return CALENDAR.previous(CALENDAR.latest_closed(datetime.now(UTC)), 2)


@pytest.fixture(scope="session")
def simulator(never_ingested: date) -> Iterator[Simulator]:
    market = {"symbols": list(SYMBOLS), "first": never_ingested, "last": never_ingested}
    with running({"market": {"synthetic": {**market, "seed": 3, "splits": []}}}) as simulation:
        yield simulation


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lake that tests only read, or heal where nothing was ingested."""
    folder = tmp_path_factory.mktemp("lake")
    store = FileStore.open(folder)
    for session in DAYS:
        grid = CALENDAR.grid(session)
        late = 1 if session == DAYS[0] else 0
        cells = [(s, n) for s in SYMBOLS for n in range(grid.width) if s != "AAPL" or n >= late]
        write.publish_minute_bars(store, session, bars_of(cells, grid))
    daily = daily_rows()
    write.publish_daily_bars(store, daily)
    split = [("AAPL", date(2026, 11, 10), 1.0, 4.0, "made", SEEN)]
    rows = pl.DataFrame(split, schema=SPLITS, orient="row")
    write.publish_table(store, "splits", None, rows, key=SPLITS_KEY)
    paid = [("MSFT", date(2026, 11, 16), None, 0.5, "USD", 4, "CD", "made", SEEN)]
    rows = pl.DataFrame(paid, schema=DIVIDENDS, orient="row", strict=False)
    write.publish_table(store, "dividends", None, rows, key=DIVIDENDS_KEY)
    values = sp.compute_indicators(daily, ["rsi_14", "ema_20"])
    for year, frame in values.group_by(pl.col("session").dt.year()):
        key = ("symbol", "session")
        write.publish_table(store, "indicators_daily", int(str(year[0])), frame, key=key)
    return folder


def daily_rows() -> pl.DataFrame:
    """Return daily bars from January, whose prices go up and down by symbol."""
    sessions = CALENDAR.sessions(date(2025, 12, 1), DAYS[-1])
    rows = []
    for n, symbol in enumerate(SYMBOLS):
        for k, session in enumerate(sessions):
            close = 100.0 + 10 * n + (k * (n + 3)) % 17
            values = [close - 1, close + 2, close - 2, close, close, 1000.0 + k, 10]
            rows.append([symbol, session, *values, "made", "final", SEEN])
    return pl.DataFrame(rows, schema=list(DAILY_BARS), orient="row").cast(DAILY_BARS)


@pytest.fixture
def environment(
    simulator: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Set the variables a user of the lake has set."""
    variables = {
        **simulator.environment(),
        "STOCKS_LAKE": str(folder),
        "STOCKS_SYMBOLS": ",".join(SYMBOLS),
        "STOCKS_FIRST_SESSION": (DAYS[0] - timedelta(days=365)).isoformat(),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def lake(environment: dict[str, str]) -> sp.Lake:
    return sp.open_lake()
