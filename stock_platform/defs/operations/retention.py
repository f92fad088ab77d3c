"""Keep what only grows within named bounds: Dagster's history, answers, quarantine.

Dagster never prunes its event log. Runs and what they recorded are deleted
after `STOCKS_KEEP_RUNS_DAYS`, oldest first, a bounded number each night.
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.secrets import SecretsResource
from stock_platform.defs.resources import LakeResource
from stock_platform.errors import PlatformError
from stock_platform.lake import append_log
from stock_platform.lake.append_log import compact_responses
from stock_platform.lake.object_store import ObjectStore

RUNS_MAX = 500
"""Runs deleted in one night: a large backlog must not hold the database for hours."""

_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


@dg.op
@no_retry_unless_transient
def prune(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Delete old runs, fold the answers of recent sessions, expire the quarantine."""
    now = datetime.now(UTC)
    settings = SecretsResource().settings()
    keep = timedelta(days=settings.healing.keep_runs_days)
    deleted = delete_runs(context.instance, before=now - keep)
    lake_context = lake.context(settings)
    folded = sum(
        _fold(context, lake_context.store, day) for day in lake_context.sessions(now)[-10:]
    )
    expired = append_log.expire_quarantine(lake_context.store, now.date())
    context.log.info(
        f"deleted {deleted} runs older than {keep.days} days, folded {folded} parts of answers, "
        f"expired {expired} parts of the quarantine"
    )


def delete_runs(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete the oldest ended runs created before an instant, at most `RUNS_MAX` of them."""
    old = instance.get_runs(
        dg.RunsFilter(statuses=_ENDED, created_before=before), limit=RUNS_MAX, ascending=True
    )
    for run in old:
        instance.delete_run(run.run_id)
    return len(old)


def _fold(context: dg.OpExecutionContext, store: ObjectStore, session: date) -> int:
    try:
        return compact_responses(store, session)
    except PlatformError as problem:
        context.log.warning(f"{session}: answers not folded: {problem}")
        return 0


@dg.job
def prune_history() -> None:
    """Keep Dagster's history, answers and quarantine within their bounds."""
    prune()


@dg.schedule(
    job=prune_history,
    cron_schedule="30 3 * * *",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly_retention() -> dg.RunRequest:
    """Prune while no market is open."""
    return dg.RunRequest()
