"""`lake/session_bars`, `lake/coverage`, `lake/bar_reconciliation`: what follows the close."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl

from stock_platform.components import metadata as page
from stock_platform.components.partitions import SESSION, calendar, key_of, sessions
from stock_platform.defs.minute_bars.assets import minute_bars
from stock_platform.defs.resources import HealerResource, LakeResource
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import COVERAGE, SessionCoverage
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.errors import PermanentError
from stock_platform.healing.derive import carry_history
from stock_platform.healing.reconciliation import DIFFERENCES, RECONCILIATION, summarize
from stock_platform.healing.scheduling import latest_verification
from stock_platform.lake import coverage as coverages
from stock_platform.lake import read, write
from stock_platform.lake.compact import compact

OF_THE_SESSION = dg.AssetDep(
    minute_bars, partition_mapping=dg.MultiToSingleDimensionPartitionMapping(SESSION)
)
CLOSED = "closed"


def session_of(context: dg.AssetExecutionContext) -> MinuteGrid:
    """Return the minute grid of the run's session partition."""
    return calendar().grid(date.fromisoformat(context.partition_key))


@dg.asset(
    key=["lake", "session_bars"],
    partitions_def=sessions,
    deps=[OF_THE_SESSION],
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=page.OWNERS,
    metadata=page.columns(MINUTE_BARS, ("symbol", "minute")),
    pool="provider_rest",
)
def session_bars(
    context: dg.AssetExecutionContext, healer: HealerResource
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult]:
    """One row is one bar of the session, compacted into one Parquet object.

    Merges the streamed parts into the session's object and, once the session has
    settled, asks the source of record (flat file, else REST) for all of it: silent
    minutes become observed or empty, and revisions rise. Materializing again
    verifies again; where nothing changed, nothing is written.
    """
    grid, now = session_of(context), datetime.now(UTC)
    with healer.open(context.log.info) as opened:
        healing = opened.context.healing
        compacted = compact(opened.store, grid.session)
        since = latest_verification(
            grid.closes_at,
            now,
            settle=timedelta(minutes=healing.settle_minutes),
            after=[timedelta(hours=hours) for hours in healing.verify_after_hours],
        )
        try:
            healed = opened.settle(grid, now=now, since=since) if since else None
        except PermanentError as problem:
            raise dg.Failure(str(problem), allow_retries=False) from problem
    metadata = page.of_publication(compacted)
    if healed is not None:
        metadata |= {**page.of_heal(healed), **page.of_coverage(healed.coverage)}
        metadata["heat map"] = page.picture(healed.coverage)
        yield from _unrecorded_minutes(context, healed.coverage)
    published = (healed.published if healed else None) or compacted
    yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(published.sha256))


def _unrecorded_minutes(
    context: dg.AssetExecutionContext, coverage: SessionCoverage
) -> Iterator[dg.AssetMaterialization]:
    """Report the settled minutes nobody has: a hole in the grid of minutes is a gap.

    Minutes that a half-day does not have are reported as closed.
    """
    grid, labels = coverage.grid, calendar().minute_labels()
    known = context.instance.get_materialized_partitions(minute_bars.key)
    missing = np.any(coverage.missing(), axis=0)
    for slot in range(grid.width):
        key = key_of(grid.session, labels[slot])
        if key in known or missing[slot]:
            continue
        told = {"source": "settled with its session"}
        if not grid.first <= slot < grid.end:
            told = {CLOSED: "no trading in this minute"}
        yield dg.AssetMaterialization(minute_bars.key, partition=key, metadata=told)


@dg.asset(
    key=["lake", "coverage"],
    partitions_def=sessions,
    deps=[session_bars],
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=page.OWNERS,
    metadata=page.columns(COVERAGE, ("symbol",)),
)
def coverage(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """One row is what is known of one symbol's minutes in the session.

    Derived, not asserted: materializing rebuilds it from the bars in the lake, the
    feed's connection log and the providers' recorded answers.
    """
    lake_context, grid = lake.context(), session_of(context)
    derived = lake_context.derive(grid)

    def rebuilt(stored: SessionCoverage | None) -> SessionCoverage:
        fresh = carry_history(derived, stored)
        fresh.checked_at = datetime.now(UTC)
        return fresh

    coverage = coverages.update(lake_context.store, grid, rebuilt)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(coverage.symbols),
            **page.of_coverage(coverage),
            "heat map": page.picture(coverage),
        }
    )


@dg.asset(
    key=["lake", "bar_reconciliation"],
    partitions_def=sessions,
    deps=[session_bars],
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=page.OWNERS,
    metadata=page.columns(RECONCILIATION, ("symbol",)),
)
def bar_reconciliation(
    context: dg.AssetExecutionContext, lake: LakeResource
) -> dg.MaterializeResult:
    """One row is one symbol: how its streamed bars differ from the final record.

    Counts bars added, removed and changed, with the largest change of a close; the
    differing bars themselves are the table `bar_differences`.
    """
    store, grid = lake.store(), session_of(context)
    found = read.table(store, "bar_differences", grid.session)
    found = found if found.width else pl.DataFrame(schema=DIFFERENCES)
    rows = summarize(found, read.minute_bars(store, grid.session))
    published = write.publish_table(
        store, "bar_reconciliation", grid.session, rows, key=("symbol",), mode="replace"
    )
    totals = rows.select(pl.col("added", "removed", "changed").sum()).row(0, named=True)
    largest = rows["close_change_max"].max()
    return dg.MaterializeResult(
        metadata={
            **page.of_publication(published),
            **{f"bars {name}": int(count or 0) for name, count in totals.items()},
            "largest change of a close": f"{largest:.3%}" if isinstance(largest, float) else "none",
        }
    )
