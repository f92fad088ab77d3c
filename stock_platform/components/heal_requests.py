"""How the gap sensors request runs: once per session and reason."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg
import msgspec

from stock_platform.components.partitions import calendar, key_of
from stock_platform.components.renamed import names_of
from stock_platform.errors import PlatformError
from stock_platform.healing.retry import RetrySchedule
from stock_platform.healing.scheduling import HealHistory, HealRange, select_sessions
from stock_platform.settings import HealingSettings

HEAL_SESSION = "heal/session"
HEAL_RANGE = "heal/range"

REMEMBERED_MAX = 400
"""Sessions kept in one cursor; the oldest are forgotten first."""

_GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


_CURSOR = msgspec.json.Decoder(dict[date, HealHistory])


def read_cursor(cursor: str | None) -> dict[date, HealHistory]:
    """Read what was requested; an unreadable cursor counts as empty."""
    try:
        return _CURSOR.decode(cursor) if cursor else {}
    except msgspec.MsgspecError:
        return {}


def write_cursor(requested: dict[date, HealHistory]) -> str:
    """Write what was requested, as `read_cursor` reads it."""
    newest = sorted(requested, reverse=True)[:REMEMBERED_MAX]
    return msgspec.json.encode({day: requested[day] for day in newest}).decode()


def needs_and_errors(
    need_of: Callable[[date], HealRange | None], sessions: Iterable[date]
) -> tuple[list[HealRange], list[str]]:
    """Return the needs of the sessions, and what is wrong with those that cannot be read.

    A session that cannot be read does not keep the others from being healed.
    """
    needs: list[HealRange] = []
    errors: list[str] = []
    for session in sessions:
        try:
            need = need_of(session)
        except PlatformError as problem:
            errors.append(f"{session}: {problem}")
        else:
            needs += [need] if need else []
    return needs, errors


@dataclass(frozen=True, slots=True)
class TickPlan:
    """The decision of one tick: the runs to request and the cursor to keep."""

    chosen: Sequence[tuple[HealRange, HealHistory]]
    cursor: str


def plan_tick(
    context: dg.SensorEvaluationContext,
    needs: Iterable[HealRange],
    now: datetime,
    settings: HealingSettings,
) -> TickPlan:
    """Choose the sessions to heal now, given what this sensor requested before."""
    requested = read_cursor(context.cursor)
    chosen = select_sessions(
        needs,
        requested,
        now,
        backoff=RetrySchedule.from_minutes(settings.backoff_minutes),
        running=sessions_in_work(context.instance),
        failed=sessions_that_failed(context.instance, context.sensor_name),
        sessions_max=settings.sessions_at_once,
    )
    return TickPlan(
        chosen, write_cursor(requested | {need.session: entry for need, entry in chosen})
    )


def sessions_in_work(instance: dg.DagsterInstance) -> frozenset[date]:
    """Return the sessions for which a heal or settlement is queued or running."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_GOING), limit=500)
    days = (run.tags.get(HEAL_SESSION) for run in runs)
    return frozenset(date.fromisoformat(day) for day in days if day)


def sessions_that_failed(instance: dg.DagsterInstance, sensor: str) -> frozenset[date]:
    """Return the sessions whose newest run requested by a sensor ended in failure."""
    # A sensor that was renamed requested its older runs under the name it had.
    requested = dg.RunsFilter(tags={"dagster/sensor_name": names_of(sensor)})
    runs = instance.get_runs(requested, limit=200)
    newest: dict[str, dg.DagsterRunStatus] = {}
    for run in runs:
        if HEAL_SESSION in run.tags:
            newest.setdefault(run.tags[HEAL_SESSION], run.status)
    failed = (day for day, status in newest.items() if status == dg.DagsterRunStatus.FAILURE)
    return frozenset(date.fromisoformat(day) for day in failed)


def minute_run(
    sensor: str,
    need: HealRange,
    entry: HealHistory,
    *,
    asset: dg.AssetsDefinition,
    config: dg.Config | None = None,
) -> dg.RunRequest:
    """Request one run over a span of a session's minutes.

    The run key carries the session, the span and the count of requests: a daemon
    killed between submit and cursor requests it again under the same key and Dagster
    drops the repeat, while a gap that reopens gets a new one.
    """
    labels = calendar().minute_labels()
    first, last = labels[need.first], labels[need.last]
    return dg.RunRequest(
        run_key=f"{sensor}:{need.session}:{first}-{last}:{entry.count}",
        asset_selection=[asset.key],
        run_config=dg.RunConfig(ops={asset.op.name: config}) if config else {},
        tags={
            "dagster/asset_partition_range_start": key_of(need.session, first),
            "dagster/asset_partition_range_end": key_of(need.session, last),
            HEAL_SESSION: need.session.isoformat(),
            HEAL_RANGE: f"{need.session} {first}-{last}",
        },
    )
