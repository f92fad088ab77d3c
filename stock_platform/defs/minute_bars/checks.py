"""What should be true of a session's bars, checked with every materialization."""

from datetime import date

import dagster as dg
import polars as pl

from stock_platform.components.duckdb import LakeDuckDB
from stock_platform.components.partitions import calendar, sessions
from stock_platform.defs.daily_bars.assets import daily_bars
from stock_platform.defs.minute_bars.session_assets import coverage, session_bars
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.healing.aggregate import FROM_MINUTES
from stock_platform.healing.anomalies import (
    invalid_ohlc,
    minute_volume_above_daily,
    repeated_dividends,
    unexplained_jumps,
)
from stock_platform.lake import coverage as coverages
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore

SHOWN_MAX = 20
LOOKED_BACK = 10
"""Sessions among which the close before is looked for: a symbol may not trade every day."""

_WARN = dg.AssetCheckSeverity.WARN


def _session(context: dg.AssetCheckExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


def _sessions(context: dg.AssetCheckExecutionContext) -> list[date]:
    """Return the sessions of the run, rising: what is filled as a range is checked as one."""
    return sorted(date.fromisoformat(key) for key in context.partition_keys)


def _verdict(
    bad: pl.DataFrame, what: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    """Pass when `bad` is empty, else name its first rows."""
    records = [
        dg.TableRecord({name: str(value) for name, value in row.items()})
        for row in bad.head(SHOWN_MAX).iter_rows(named=True)
    ]
    metadata = {"rows": dg.MetadataValue.table(records)} if records else {}
    return dg.AssetCheckResult(
        passed=not bad.height,
        severity=severity,
        description=f"{bad.height:,} {what}" if bad.height else f"no {what}",
        metadata=metadata,
    )


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
def the_schema_is_right(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """The session's object has exactly the declared columns and types."""
    bars = read.minute_bars(lake.store(), _session(context))
    wrong = {n: str(t) for n, t in bars.schema.items() if MINUTE_BARS.get(n) != t}
    return dg.AssetCheckResult(
        passed=bars.schema == MINUTE_BARS, metadata={"wrong columns": dg.MetadataValue.json(wrong)}
    )


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
def symbol_and_minute_are_unique(
    context: dg.AssetCheckExecutionContext, duckdb: LakeDuckDB
) -> dg.AssetCheckResult:
    """No symbol has two bars of one minute."""
    text = """
        SELECT symbol, minute, count(*) AS bars FROM minute_bars
        WHERE session = $session GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL
    """
    with duckdb.get_connection() as connection:
        shared = connection.sql(text, params={"session": _session(context)}).pl()
    return _verdict(shared, "minutes of a symbol have several bars")


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
def prices_are_in_order(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """low <= open, close <= high in every bar."""
    bars = read.minute_bars(lake.store(), _session(context))
    return _verdict(invalid_ohlc(bars), "bars with low <= open, close <= high violated")


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
def minutes_are_aligned(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """Every bar starts on a whole minute of its session."""
    session = _session(context)
    bars = read.minute_bars(lake.store(), session, ["symbol", "minute"])
    day = pl.col("minute").dt.convert_time_zone("America/New_York").dt.date()
    off = (pl.col("minute") != pl.col("minute").dt.truncate("1m")) | (day != session)
    return _verdict(bars.filter(off), "bars off the minute or of another session")


@dg.asset_check(asset=coverage, partitions_def=sessions)
def every_minute_is_accounted_for(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """Every expected symbol-minute is observed, silent or proven empty."""
    coverage = coverages.load(lake.store(), calendar().grid(_session(context)))
    if coverage is None:
        return dg.AssetCheckResult(passed=False, description="the session has no coverage yet")
    missing = coverage.to_frame().filter(pl.col("missing") > 0)
    return _verdict(
        missing.select("symbol", "missing", "refused", "attempts", "last_error"),
        "symbols with missing minutes",
        _WARN,
    )


@dg.asset_check(asset=daily_bars, partitions_def=sessions, additional_deps=[session_bars])
def minute_volumes_add_up_to_the_day(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """The minutes of a session never trade more than its daily bar says."""
    store, sessions_run = lake.store(), _sessions(context)
    days = _days(store, sessions_run).filter(pl.col("provider") != FROM_MINUTES)
    over = [
        minute_volume_above_daily(
            read.minute_bars(store, session), days.filter(pl.col("session") == session)
        )
        for session in sessions_run
    ]
    return _verdict(pl.concat(over), "symbols trade more in minutes than on the day", _WARN)


@dg.asset_check(asset=daily_bars, partitions_def=sessions)
def jumps_have_a_split(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """A close far from the one before has a split as its reason, and a split shows in the close."""
    store, sessions_run = lake.store(), _sessions(context)
    first, last = calendar().previous(sessions_run[0], LOOKED_BACK), sessions_run[-1]
    days = read.daily_bars(store, first.year, last.year)
    days = days.filter(pl.col("session").is_between(first, last))
    found = unexplained_jumps(days, read.table(store, "splits", None))
    jumped = found.filter(pl.col("session").is_in(sessions_run))
    return _verdict(jumped, "closes do not follow from the day before and its splits", _WARN)


@dg.asset_check(asset=dg.AssetKey(["reference", "dividends"]))
def no_dividend_comes_twice(lake: LakeResource) -> dg.AssetCheckResult:
    """No symbol pays the same dividend again within days."""
    rows = read.table(lake.store(), "dividends", None)
    return _verdict(repeated_dividends(rows), "dividends repeat an earlier one", _WARN)


@dg.asset_check(asset=daily_bars, blocking=True, partitions_def=sessions)
def daily_prices_are_in_order(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """low <= open, close <= high in every daily bar of the session."""
    days = _days(lake.store(), _sessions(context))
    return _verdict(invalid_ohlc(days), "daily bars with low <= open, close <= high violated")


def _days(store: ObjectStore, days: list[date]) -> pl.DataFrame:
    rows = read.daily_bars(store, days[0].year, days[-1].year)
    return rows.filter(pl.col("session").is_in(days)).select(list(DAILY_BARS))
