"""The bars of a session, minute by minute and as a whole, and what is derived from them.

`lake/minute_bars`, `lake/session_bars`, `lake/coverage`, `lake/bar_reconciliation`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from stock_platform.components import metadata
from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.heal_requests import HEAL_SESSION
from stock_platform.components.partitions import (
    SESSION,
    calendar,
    key_of,
    session_and_slots,
    session_minutes,
    sessions,
)
from stock_platform.defs.reference.assets import symbols
from stock_platform.defs.resources import HealerResource, LakeResource
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.domain.coverage import COVERAGE, SessionCoverage
from stock_platform.domain.sessions import MinuteGrid
from stock_platform.healing.derive import carry_history
from stock_platform.healing.reconciliation import DIFFERENCES, RECONCILIATION, summarize
from stock_platform.healing.scheduling import latest_verification
from stock_platform.lake import coverage as coverages
from stock_platform.lake import off_hours, read, write
from stock_platform.lake.stream_parts import compact
from stock_platform.pipelines.heal import HealResult

CLOSED = "closed"


class HealConfig(dg.Config):
    """Run config of `lake/minute_bars`: which minutes a run requests."""

    only_ready: bool | None = Field(
        None,
        description="only missing minutes of symbols that wait for no retry, as the sensors do; "
        "default: every minute not confirmed",
    )


def is_only_ready(config: HealConfig, tags: Mapping[str, str]) -> bool:
    """Return the mode of a run; one queued before the mode was config has the tag only."""
    return config.only_ready if config.only_ready is not None else HEAL_SESSION in tags


@dg.asset(
    key=["lake", "minute_bars"],
    partitions_def=session_minutes,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(MINUTE_BARS, ("symbol", "minute")),
    deps=[symbols],
    pool="provider_rest",
)
@no_retry_unless_transient
def minute_bars(
    context: dg.AssetExecutionContext, config: HealConfig, healer: HealerResource
) -> None:
    """One row is one bar: a symbol's minute at its best known revision.

    A partition is one minute of one session (New York wall clock). Materializing
    asks the providers for the expected symbol-minutes that are not yet observed or
    proven empty, publishes what they answer at revision `rest` or `final`, and
    updates `lake/coverage`. A range of minutes is one run; repeating it changes
    nothing. Good minutes from the stream are recorded here without a run.
    """
    grid, first, last = session_and_slots(context.partition_keys)
    now = datetime.now(UTC)
    with healer.open(context.log.info) as opened:
        healed = opened.heal(
            grid, first, last, now=now, only_ready=is_only_ready(config, context.run.tags)
        )
    _describe(context, healed, grid.closed_slots(now, 0))


def _describe(context: dg.AssetExecutionContext, healed: HealResult, due: int) -> None:
    """Attach the whole result to the run's last minute, and a line to every other one.

    What is kept for ever is kept small: a session's run writes 390 of these events.
    """
    coverage = metadata.of_coverage(healed.coverage, due)
    context.add_asset_metadata({name: coverage[name] for name in metadata.COVERAGE_LINES})
    context.add_asset_metadata(
        {
            **coverage,
            **metadata.of_heal(healed),
            "heat map": metadata.picture(healed.coverage, due),
        },
        partition_key=context.partition_keys[-1],
    )
    if healed.refused or healed.failed:
        context.log.warning(
            f"{healed.refused} answers were refused and {healed.failed} failed; "
            "coverage has the symbols, and when they are requested again"
        )


OF_THE_SESSION = dg.AssetDep(
    minute_bars, partition_mapping=dg.MultiToSingleDimensionPartitionMapping(SESSION)
)


def session_of(context: dg.AssetExecutionContext) -> MinuteGrid:
    """Return the minute grid of the run's session partition."""
    return calendar().grid(date.fromisoformat(context.partition_key))


@dg.asset(
    key=["lake", "session_bars"],
    partitions_def=sessions,
    deps=[OF_THE_SESSION],
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(MINUTE_BARS, ("symbol", "minute")),
    pool="provider_rest",
)
@no_retry_unless_transient
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
        moved = off_hours.sort_out(opened.store, grid)
        since = latest_verification(
            grid.closes_at,
            now,
            settle=timedelta(minutes=healing.settle_minutes),
            after=[timedelta(hours=hours) for hours in healing.verify_after_hours],
        )
        healed = opened.settle(grid, now=now, since=since) if since else None
    shown = metadata.of_publication(compacted)
    if moved.out or moved.back:
        shown |= {"moved off hours": moved.out, "moved back": moved.back}
    if healed is not None:
        shown |= {**metadata.of_heal(healed), **metadata.of_coverage(healed.coverage)}
        shown["heat map"] = metadata.picture(healed.coverage)
        yield from _unrecorded_minutes(context, healed.coverage)
    published = (healed.published if healed else None) or compacted
    yield dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(published.sha256))


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
        metadata = {"source": "settled with its session"}
        if not grid.first <= slot < grid.end:
            metadata = {CLOSED: "no trading in this minute"}
        yield dg.AssetMaterialization(minute_bars.key, partition=key, metadata=metadata)


@dg.asset(
    key=["lake", "coverage"],
    partitions_def=sessions,
    deps=[session_bars],
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(COVERAGE, ("symbol",)),
)
@no_retry_unless_transient
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
            **metadata.of_coverage(coverage),
            "heat map": metadata.picture(coverage),
        }
    )


@dg.asset(
    key=["lake", "bar_reconciliation"],
    partitions_def=sessions,
    deps=[session_bars],
    group_name="lake",
    kinds={"polars", "parquet"},
    owners=metadata.OWNERS,
    metadata=metadata.columns(RECONCILIATION, ("symbol",)),
)
@no_retry_unless_transient
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
            **metadata.of_publication(published),
            **{f"bars {name}": int(count or 0) for name, count in totals.items()},
            "largest change of a close": f"{largest:.3%}" if isinstance(largest, float) else "none",
        }
    )
