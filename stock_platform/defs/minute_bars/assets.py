"""`lake/minute_bars`: the bars of a session's minutes, healed where they are missing."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field

from stock_platform.components import metadata
from stock_platform.components.heal_requests import HEAL_SESSION
from stock_platform.components.partitions import session_and_slots, session_minutes
from stock_platform.defs.resources import HealerResource
from stock_platform.domain.bars import MINUTE_BARS
from stock_platform.errors import PermanentError
from stock_platform.pipelines.heal import HealResult


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
    deps=[dg.AssetKey(["reference", "symbols"])],
    pool="provider_rest",
)
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
        try:
            healed = opened.heal(
                grid, first, last, now=now, only_ready=is_only_ready(config, context.run.tags)
            )
        except PermanentError as problem:
            raise dg.Failure(str(problem), allow_retries=False) from problem
    _describe(context, healed, grid.closed_slots(now, 0))


def _describe(context: dg.AssetExecutionContext, healed: HealResult, due: int) -> None:
    """Tell the whole story once, on the run's last minute, and a line on every other one.

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
            "coverage says which symbols, and when they are asked again"
        )
