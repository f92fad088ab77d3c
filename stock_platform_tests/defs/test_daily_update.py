"""The daily update and the first load: which sessions, in one run, idle without a provider."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from stock_platform.defs.daily_bars.automation import daily_update_schedule
from stock_platform.defs.resources import LakeResource
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.due_sessions import sessions_to_update
from stock_platform.simulator.server import Simulator
from stock_platform_tests.defs.conftest import SYMBOLS
from stock_platform_tests.defs.runs import DEFS

DAYS = [date(2026, 11, 1) + timedelta(days=n) for n in range(20)]
JOBS = ["daily_update", "initialize"]


@pytest.mark.parametrize(
    ("computed", "span"),
    [
        (DAYS, (DAYS[-1], DAYS[-1])),
        (DAYS[:-1], (DAYS[-1], DAYS[-1])),
        (DAYS[:-3], (DAYS[-3], DAYS[-1])),
        ([], (DAYS[-10], DAYS[-1])),
    ],
)
def test_an_update_takes_the_newest_session_and_those_missed_before(
    computed: list[date], span: tuple[date, date]
) -> None:
    assert sessions_to_update(DAYS, computed) == span


def _request(lake: LakeResource, now: datetime) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(scheduled_execution_time=now, resources={"lake": lake})
    asked = daily_update_schedule(context)
    assert isinstance(asked, dg.RunRequest | dg.SkipReason)
    return asked


@pytest.mark.parametrize("job", JOBS)
def test_a_range_of_sessions_is_brought_up_to_date_in_one_run(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    two_sessions: list[date],
    job: str,
) -> None:
    request = _request(lake, datetime.now(UTC))
    assert isinstance(request, dg.RunRequest)

    result = DEFS.resolve_job_def(job).execute_in_process(
        instance=instance, tags=dict(request.tags), raise_on_error=False
    )

    year = two_sessions[1].year
    values = read.table(lake_context.store, "indicators_daily", year)
    assert result.success
    assert sorted(values["session"].unique()) == two_sessions
    assert set(read.daily_bars(lake_context.store, year, year)["symbol"]) == set(SYMBOLS)
    assert read.sessions_present(lake_context.store, "reference_symbols")


def test_without_a_provider_the_update_says_what_to_set(
    lake: LakeResource, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in simulator.environment():
        monkeypatch.delenv(name)

    assert "MASSIVE_API_KEY" in str(_request(lake, datetime.now(UTC)))
