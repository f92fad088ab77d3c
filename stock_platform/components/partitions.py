"""Sessions and session minutes as Dagster partitions.

Measured reasons are in DESIGN section 6: two dimensions (session x minute)
are the only model in which a year of minutes stays quick in the UI. A range of
keys is a Cartesian product, so one range never crosses sessions.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from stock_platform.components.loading import known_beta_features
from stock_platform.components.settings_at_load import SETTINGS
from stock_platform.domain.sessions import Calendar, MinuteGrid
from stock_platform.indicators.weekly import Week

NEW_YORK = ZoneInfo("America/New_York")
SESSION, MINUTE = "date", "minute"
"""Dimension names sort as the key reads: `2026-11-19|09:40`."""


def calendar() -> Calendar:
    """Return the exchange's calendar, as set when the definitions were loaded."""
    return SETTINGS.market.calendar()


def _sessions() -> dg.TimeWindowPartitionsDefinition:
    settings = SETTINGS.market
    today = datetime.now(NEW_YORK).date()
    first, last = settings.span(today)
    if settings.first_session is None:
        # A start that moves daily would void Dagster's status cache daily: move it monthly.
        first = first.replace(day=1)
    horizon = date(today.year + 2, 12, 31)
    closed = settings.calendar().closed_days(first, horizon)
    fixed_end = None
    if settings.last_session is not None:
        fixed_end = datetime.combine(last + timedelta(days=1), datetime.min.time())
    return dg.TimeWindowPartitionsDefinition(
        start=datetime.combine(first, datetime.min.time()),
        end=fixed_end,
        fmt="%Y-%m-%d",
        cron_schedule="0 0 * * *",
        timezone="America/New_York",
        # Today is a partition while it runs; with a fixed end there is no today.
        end_offset=0 if fixed_end else 1,
        exclusions=[
            "0 0 * * 0,6",
            *(datetime.combine(day, datetime.min.time(), NEW_YORK) for day in closed),
        ],
    )


sessions = _sessions()
minutes = dg.StaticPartitionsDefinition(calendar().minute_labels())
session_minutes = dg.MultiPartitionsDefinition({SESSION: sessions, MINUTE: minutes})
weeks = dg.WeeklyPartitionsDefinition(
    start_date=sessions.start.strftime("%Y-%m-%d"),
    timezone="America/New_York",
    day_offset=1,
    end_offset=1,
)
"""A week's key is its Monday; the running week is a partition, its report is due on Saturday."""


# A week's days include those ahead and those on which the exchange was closed.
with known_beta_features():  # dg imports this module before it loads the definitions
    OF_THE_WEEK = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)


def week_of(context: dg.AssetExecutionContext) -> Week:
    """Return the week of the run's partition."""
    return Week.of(calendar(), date.fromisoformat(context.partition_key))


def key_of(session: date, label: str) -> str:
    """Return the partition key of a session's minute."""
    return f"{session}|{label}"


def session_and_slots(keys: Sequence[str]) -> tuple[MinuteGrid, int, int]:
    """Return the grid and the first and last slot that partition keys of one session span."""
    days = sorted({key.split("|")[0] for key in keys})
    if len(days) != 1:
        raise dg.Failure(
            f"a run holds minutes of one session, found {len(days)} ({days[0]} to {days[-1]}); "
            "backfill the rectangle instead: it becomes one run per session",
            allow_retries=False,
        )
    market_calendar = calendar()
    slots = [market_calendar.slot_of_label(key.split("|")[1]) for key in keys]
    return market_calendar.grid(date.fromisoformat(days[0])), min(slots), max(slots)
