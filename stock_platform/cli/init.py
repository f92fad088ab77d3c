"""`stocks init`: load history into the lake, newest session first, with progress."""

from datetime import UTC, date, datetime, timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from stock_platform.cli.terminal import console
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.healing.scheduling import latest_verification
from stock_platform.indicators.indicator import Timeframe
from stock_platform.lake import read
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.coverage import unlisted_symbols
from stock_platform.pipelines.daily_bars import DailyBarIngest
from stock_platform.pipelines.heal import Healer
from stock_platform.pipelines.indicators.selection import TIMEFRAMES, chosen
from stock_platform.pipelines.indicators.stores import indicator_store
from stock_platform.pipelines.indicators.updater import IndicatorUpdater
from stock_platform.pipelines.reference import (
    actions_span,
    take_snapshots,
    update_dividends,
    update_splits,
)
from stock_platform.providers.registry import Providers, open_providers
from stock_platform.providers.secrets import read_secret
from stock_platform.serving.postgres.refresh import refresh_stock_data
from stock_platform.serving.postgres.store import open_stock_data
from stock_platform.settings import PostgresSettings, Settings

SESSIONS_AT_ONCE = 10
"""Between two steps of the progress bar."""


def load_history(count: int) -> int:
    """Load the last `count` closed sessions; return 0 when no minute of them is missing, else 1.

    Safe to stop and to repeat: what is verified already is not requested again.
    """
    terminal = console()
    settings = Settings.from_env(read_secret)
    lake_context = LakeContext(open_store(settings.lake), settings.market, settings.healing)
    now = datetime.now(UTC)
    sessions = _sessions(lake_context, count, now)
    with open_providers(settings) as providers:
        _reference(lake_context, providers, sessions)
        for line in unlisted_symbols(lake_context):
            terminal.print(f"[yellow]{line}[/]")
        healer = Healer(
            context=lake_context,
            providers=providers,
            max_concurrent_requests=settings.requests.max_concurrent_requests,
        )
        missing = _minutes(terminal, healer, sessions, now)
        absent = _daily(terminal, lake_context, providers, sessions)
    for timeframe in TIMEFRAMES:
        updater = IndicatorUpdater(
            store=indicator_store(lake_context.store, timeframe),
            indicators=chosen(timeframe, settings),
            splits=read.table(lake_context.store, "splits", None),
            first=sessions[0],
        )
        _indicators(terminal, updater, timeframe, sessions)
    served = _serve(lake_context, settings.postgres, sessions)
    terminal.print(
        f"{len(sessions)} sessions, {sessions[0]} to {sessions[-1]}: {missing:,} symbol-minutes "
        f"missing, {absent:,} daily bars without a provider, {served:,} rows of stock_data. "
        f"`stocks coverage` shows more."
    )
    return 0 if missing == 0 else 1


def _sessions(lake_context: LakeContext, count: int, now: datetime) -> list[date]:
    last = lake_context.calendar.latest_closed(now - lake_context.policy.settle)
    if lake_context.market.last_session:
        last = min(last, lake_context.market.last_session)
    first = last if count == 1 else lake_context.calendar.previous(last, count - 1)
    if lake_context.market.first_session:
        first = max(first, lake_context.market.first_session)
    sessions = lake_context.calendar.sessions(first, last)
    if not sessions:
        raise PermanentError(f"no session to load between {first} and {last}")
    return sessions


def _reference(lake_context: LakeContext, providers: Providers, sessions: list[date]) -> None:
    if not providers.reference:
        return
    source = providers.reference[0]
    take_snapshots(lake_context, source, [sessions[0], sessions[-1]])
    first, last = actions_span(sessions[0], datetime.now(UTC))
    update_splits(lake_context, source, first, last)
    update_dividends(lake_context, source, first, last)


def _minutes(console: Console, healer: Healer, sessions: list[date], now: datetime) -> int:
    missing = 0
    with _progress(console) as progress:
        task = progress.add_task("minute bars", total=len(sessions))
        for session in reversed(sessions):
            progress.update(task, description=f"minute bars {session}")
            missing += _settle(progress, healer, session, now)
            progress.advance(task)
    return missing


def _settle(progress: Progress, healer: Healer, session: date, now: datetime) -> int:
    lake_context = healer.context
    grid = lake_context.calendar.grid(session)
    since = latest_verification(
        grid.closes_at,
        now,
        settle=lake_context.policy.settle,
        after=[timedelta(hours=hours) for hours in lake_context.healing.verify_after_hours],
    )
    try:
        coverage = healer.settle(grid, now=now, since=since or grid.closes_at).coverage
    except PlatformError as problem:
        progress.console.print(f"[red]{session}: {problem}[/]")
        coverage = lake_context.coverage(grid)
    return coverage.totals()["missing"]


def _daily(
    console: Console, lake_context: LakeContext, providers: Providers, sessions: list[date]
) -> int:
    absent = 0
    fill = DailyBarIngest(context=lake_context, sources=providers.daily)
    with _progress(console) as progress:
        task = progress.add_task("daily bars", total=len(sessions))
        for start in range(0, len(sessions), 10):
            days = sessions[start : start + 10]
            progress.update(task, description=f"daily bars {days[0]}")
            absent += fill.fill(days).absent
            progress.advance(task, len(days))
    return absent


def _indicators(
    console: Console, updater: IndicatorUpdater, timeframe: Timeframe, sessions: list[date]
) -> None:
    """Compute the sessions in their order, each onward from the one before."""
    with _progress(console) as progress:
        task = progress.add_task(f"{timeframe} indicators", total=len(sessions))
        for start in range(0, len(sessions), SESSIONS_AT_ONCE):
            days = sessions[start : start + SESSIONS_AT_ONCE]
            progress.update(task, description=f"{timeframe} indicators {days[0]}")
            updater.extend(days)
            progress.advance(task, len(days))


def _serve(lake_context: LakeContext, postgres: PostgresSettings, sessions: list[date]) -> int:
    with open_stock_data(postgres) as stock_data:
        done = refresh_stock_data(lake_context.store, stock_data, sessions[0], sessions[-1])
    return done.inserted + done.updated + done.unchanged


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
