"""`after_the_close`: compact, settle, cover and reconcile a session, and verify it again later.

Driven by the session's real close, not by "all minutes present": a session is
settled once, then verified after an hour, a day and a week, because vendors'
holes reopen and late trades change bars.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_platform.defs.asking import ask
from stock_platform.defs.daily_bars import daily_bars
from stock_platform.defs.expected import expected_symbols
from stock_platform.defs.gaps import INTERVAL_S
from stock_platform.defs.knowledge import Knowledge
from stock_platform.defs.minute_bars import HEAL_SESSION
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.session_bars import bar_reconciliation, coverage, session_bars
from stock_platform.domain.problems import Problem
from stock_platform.healing.find import Need, latest_verification
from stock_platform.lake import ledgers

SESSION_ASSETS = [session_bars, coverage, bar_reconciliation, daily_bars]


@dg.sensor(
    target=SESSION_ASSETS,
    # A session settles once a day: the gap sensors have the first word.
    minimum_interval_seconds=INTERVAL_S * 10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def after_the_close(
    context: dg.SensorEvaluationContext, lake: LakeResource
) -> dg.SensorResult | dg.SkipReason:
    """Closed sessions whose settlement or next verification is due: one run per session."""
    knowledge, now = lake.knowledge(), datetime.now(UTC)
    try:
        due = list(sessions_due(knowledge, knowledge.sessions(now), now))
    except Problem as problem:
        return dg.SkipReason(str(problem))
    asking = ask(context, due, now, knowledge.healing)
    if not asking.chosen:
        return dg.SkipReason("no session to settle or to verify now")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"{context.sensor_name}:{need.session}:{entry.count}",
                partition_key=need.session.isoformat(),
                tags={HEAL_SESSION: need.session.isoformat()},
            )
            for need, entry in asking.chosen
        ],
        cursor=asking.cursor,
    )


def sessions_due(knowledge: Knowledge, sessions: list[date], now: datetime) -> Iterable[Need]:
    """Give the sessions with symbols not verified since the last verification time."""
    if sessions:
        # Raises what to do while the whole market is wanted and no symbol is known yet.
        expected_symbols(knowledge.store, sessions[-1], knowledge.market)
    healing = knowledge.healing
    verified = dict(
        ledgers.summaries(knowledge.store, sessions).select("session", "verified_at").iter_rows()
    )
    for session in sessions:
        grid = knowledge.calendar.grid(session)
        since = latest_verification(
            grid.closes_at,
            now,
            settle=timedelta(minutes=healing.settle_minutes),
            after=[timedelta(hours=hours) for hours in healing.verify_after_hours],
        )
        at = verified.get(session)
        if since is not None and (at is None or at < since):
            # How far verification has come is what tells a fruitless repeat from progress.
            progress = int(at.timestamp()) if at else 0
            yield Need(session, grid.first, grid.end - 1, minutes=progress, symbols=0)
