"""What should be true of a session's bars, checked with every materialization."""

from datetime import date

import dagster as dg
import polars as pl

from stock_platform.components.duckdb import LakeDuckDB
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.metadata import passed_without
from stock_platform.components.partitions import calendar, sessions
from stock_platform.defs.minute_bars.assets import coverage, session_bars
from stock_platform.defs.resources import LakeResource
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.healing.anomalies import invalid_ohlc
from stock_platform.lake import coverage as coverages
from stock_platform.lake import read


def _session(context: dg.AssetCheckExecutionContext) -> date:
    return date.fromisoformat(context.partition_key)


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
@no_retry_unless_transient
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
@no_retry_unless_transient
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
    return passed_without(shared, "minutes of a symbol have several bars")


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
@no_retry_unless_transient
def prices_are_in_order(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """low <= open, close <= high in every bar."""
    bars = read.minute_bars(lake.store(), _session(context))
    return passed_without(invalid_ohlc(bars), "bars with low <= open, close <= high violated")


@dg.asset_check(asset=session_bars, blocking=True, partitions_def=sessions)
@no_retry_unless_transient
def minutes_are_aligned(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """Every bar starts on a whole minute of its session."""
    session = _session(context)
    bars = read.minute_bars(lake.store(), session, ["symbol", "minute"])
    day = pl.col("minute").dt.convert_time_zone("America/New_York").dt.date()
    off = (pl.col("minute") != pl.col("minute").dt.truncate("1m")) | (day != session)
    return passed_without(bars.filter(off), "bars off the minute or of another session")


@dg.asset_check(asset=session_bars, partitions_def=sessions)
@no_retry_unless_transient
def no_extreme_is_improbable(
    context: dg.AssetCheckExecutionContext, duckdb: LakeDuckDB
) -> dg.AssetCheckResult:
    """No minute's high or low is far outside of what the symbol does around it.

    Such bars stay in `minute_bars`; the view `minute_bars_clean` leaves them out.
    """
    text = "SELECT * FROM improbable_minute_bars WHERE session = $session ORDER BY ALL"
    with duckdb.get_connection() as connection:
        found = connection.sql(text, params={"session": _session(context)}).pl()
    return passed_without(found, "improbable minutes", dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=coverage, partitions_def=sessions)
@no_retry_unless_transient
def every_minute_is_accounted_for(
    context: dg.AssetCheckExecutionContext, lake: LakeResource
) -> dg.AssetCheckResult:
    """Every expected symbol-minute is observed, silent or proven empty."""
    coverage = coverages.load(lake.store(), calendar().grid(_session(context)))
    if coverage is None:
        return dg.AssetCheckResult(passed=False, description="the session has no coverage yet")
    missing = coverage.to_frame().filter(pl.col("missing") > 0)
    return passed_without(
        missing.select("symbol", "missing", "refused", "attempts", "last_error"),
        "symbols with missing minutes",
        dg.AssetCheckSeverity.WARN,
    )
