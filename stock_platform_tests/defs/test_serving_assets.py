"""What is served beside the lake, materialized against real stores: SQLite and moto."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from stock_platform.defs.quotes.requests import quote_request_schedule, quote_requests
from stock_platform.defs.resources import LakeResource
from stock_platform.defs.serving.sensors import quote_targets
from stock_platform.lake import read, write
from stock_platform.pipelines.context import LakeContext
from stock_platform.serving.aws import open_client
from stock_platform.serving.dynamodb import LatestQuotes
from stock_platform.serving.sqs import QuoteQueue, create_queues
from stock_platform.settings import QueueSettings, ServingSettings, load
from stock_platform_tests.defs.conftest import SYMBOLS
from stock_platform_tests.defs.runs import (
    DEFS,
    metadata_of,
    run_minutes,
    run_session,
    run_sessions,
    run_unpartitioned,
)
from stock_platform_tests.serving.made_quotes import made_quote
from stock_platform_tests.serving.running import running_aws

STOCK_DATA, LATEST, STREAM = (
    "serving/stock_data",
    "serving/latest_quotes",
    "serving/quote_stream",
)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with running_aws() as url:
        yield url


@pytest.fixture
def aws(moto_url: str, lake: LakeResource, monkeypatch: pytest.MonkeyPatch) -> ServingSettings:
    """Configure stores and queues of this test's own."""
    name = uuid4().hex
    for variable, value in {
        "STOCKS_AWS_ENDPOINT": moto_url,
        "STOCKS_AWS_ACCESS_KEY": "test",
        "STOCKS_AWS_SECRET_KEY": "test",
        "STOCKS_LATEST_QUOTES_TABLE": f"quotes-{name}",
        "STOCKS_QUOTE_QUEUE": f"requests-{name}",
        "STOCKS_QUOTE_DEAD_LETTERS": f"dead-{name}",
    }.items():
        monkeypatch.setenv(variable, value)
    settings = load(ServingSettings)
    LatestQuotes.open(settings).create_table()
    create_queues(load(QueueSettings), settings)
    return settings


def _queue() -> QuoteQueue:
    return QuoteQueue.open(load(QueueSettings), load(ServingSettings))


def _tick(
    sensor: dg.SensorDefinition,
    instance: dg.DagsterInstance,
    lake: LakeResource,
    cursor: str | None = None,
) -> object:
    return sensor(
        dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"lake": lake}, sensor_name=sensor.name
        )
    )


def _at(instant: datetime, lake: LakeResource) -> dg.ScheduleEvaluationContext:
    return dg.build_schedule_context(scheduled_execution_time=instant, resources={"lake": lake})


def test_stock_data_holds_every_symbol_of_the_sessions(
    instance: dg.DagsterInstance, lake: LakeResource, two_sessions: list[date], tmp_path: Path
) -> None:
    run_sessions(instance, *two_sessions, "lake/daily_bars")

    result = run_sessions(instance, *two_sessions, STOCK_DATA)

    with closing(sqlite3.connect(tmp_path / "serving.sqlite")) as served:
        rows = served.execute("SELECT symbol, date FROM stock_data ORDER BY 1, 2").fetchall()
    assert result.success
    assert rows == [(symbol, str(day)) for symbol in sorted(SYMBOLS) for day in two_sessions]


def test_stock_data_written_again_changes_nothing(
    instance: dg.DagsterInstance, lake: LakeResource, two_sessions: list[date]
) -> None:
    run_session(instance, two_sessions[1], "lake/daily_bars", STOCK_DATA)

    run_session(instance, two_sessions[1], STOCK_DATA)

    told = metadata_of(instance, STOCK_DATA)
    counts = [told[f"rows {name}"].value for name in ("inserted", "updated", "unchanged")]
    assert counts == [0, 0, len(SYMBOLS)]


def test_the_address_of_the_store_comes_from_secrets_manager(
    aws: ServingSettings,
    instance: dg.DagsterInstance,
    two_sessions: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An address that no variable holds: that it is refused shows that it was read."""
    name, stored = f"stocks-{uuid4().hex}", {"STOCKS_POSTGRES_URL": "mysql://u:canary@127.0.0.1/s"}
    with closing(open_client(aws, "secretsmanager")) as client:
        client.create_secret(Name=name, SecretString=json.dumps(stored))
    run_session(instance, two_sessions[1], "lake/daily_bars")
    without = run_session(instance, two_sessions[1], STOCK_DATA)
    monkeypatch.setenv("STOCKS_SECRETS_FROM", name)
    monkeypatch.setenv("STOCKS_SECRETS_ENDPOINT", aws.aws_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    result = run_session(instance, two_sessions[1], STOCK_DATA)

    [failure] = result.get_step_failure_events()
    assert without.success
    assert "expected postgresql://" in str(failure.step_failure_data)
    assert "canary" not in str(failure.step_failure_data)


def test_a_store_that_cannot_be_opened_fails_for_good(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    two_sessions: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_POSTGRES_URL", "mysql://user:canary@127.0.0.1/stocks")

    result = run_session(instance, two_sessions[1], STOCK_DATA)

    [failure] = result.get_step_failure_events()
    assert "expected postgresql://" in str(failure.step_failure_data)
    assert "canary" not in str(failure.step_failure_data)


def test_new_quotes_are_followed_into_dynamodb(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    aws: ServingSettings,
    two_sessions: list[date],
) -> None:
    run_minutes(instance, two_sessions[1], "09:30", "09:32")
    run_minutes(instance, two_sessions[1], "09:31", "09:32", asset="ingest/raw_quotes")
    tick = _tick(quote_targets, instance, lake)
    assert isinstance(tick, dg.SensorResult)
    [request] = tick.run_requests or []

    result = run_unpartitioned(instance, LATEST)

    items = LatestQuotes.open(aws).read(list(SYMBOLS))
    assert [key.to_user_string() for key in request.asset_selection or []] == [LATEST]
    assert result.success
    assert [item["symbol"] for item in items] == sorted(SYMBOLS)
    assert isinstance(_tick(quote_targets, instance, lake, tick.cursor), dg.SkipReason)


def test_quotes_are_streamed_once_and_go_on_where_they_ended(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    aws: ServingSettings,
    two_sessions: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"stream-{uuid4().hex}"
    monkeypatch.setenv("STOCKS_QUOTES_STREAM", name)
    open_client(aws, "kinesis").create_stream(StreamName=name, ShardCount=1)
    session = two_sessions[1]
    for slot in (1, 2):
        minute = lake_context.calendar.grid(session).minute(slot)
        quote = made_quote("AAPL", minute=minute, quoted_at=minute, observed_at=minute)
        write.publish_quotes(lake_context.store, session, quote)
        run_unpartitioned(instance, STREAM)

    told = metadata_of(instance, STREAM)

    # The last one known is sent again: at least once.
    assert told["records sent"].value == 2
    assert told["observed until"].value == minute.isoformat()


def test_waiting_requests_start_one_run_that_answers_them(
    instance: dg.DagsterInstance, lake: LakeResource, aws: ServingSettings
) -> None:
    queue = _queue()
    queue.enqueue(["AAPL", "MSFT"])
    tick = _tick(quote_requests, instance, lake)

    result = DEFS.resolve_job_def("answer_quote_requests").execute_in_process(instance=instance)

    minutes = {
        (row["symbol"], row["minute"])
        for session in read.sessions_present(lake.store(), "raw_quotes")
        for row in read.raw_quotes(lake.store(), session).iter_rows(named=True)
    }
    assert isinstance(tick, dg.RunRequest)
    assert result.success
    assert {symbol for symbol, _ in minutes} == {"AAPL", "MSFT"}
    assert queue.waiting() == 0
    assert isinstance(_tick(quote_requests, instance, lake), dg.SkipReason)


def test_every_minute_of_a_session_is_asked_for(
    lake: LakeResource, aws: ServingSettings, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    minute = lake_context.calendar.grid(two_sessions[1]).minute(5)

    said = quote_request_schedule(_at(minute, lake))

    assert "3 requests were enqueued" in str(said)
    assert _queue().waiting() == len(SYMBOLS)


def test_nothing_is_asked_for_after_the_close(
    lake: LakeResource, aws: ServingSettings, lake_context: LakeContext, two_sessions: list[date]
) -> None:
    closed = lake_context.calendar.grid(two_sessions[1]).closes_at

    quote_request_schedule(_at(closed, lake))

    assert _queue().waiting() == 0


def test_without_aws_sensors_and_schedules_say_what_to_set(
    instance: dg.DagsterInstance, lake: LakeResource
) -> None:
    said = [
        _tick(quote_targets, instance, lake),
        _tick(quote_requests, instance, lake),
        quote_request_schedule(_at(datetime(2026, 11, 19, 15, tzinfo=UTC), lake)),
    ]

    assert ["STOCKS_AWS_ACCESS_KEY" in str(each) for each in said] == [True, True, True]


def test_a_queue_that_does_not_exist_is_a_reason_not_a_crash(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    aws: ServingSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCKS_QUOTE_QUEUE", "nobody-made-it")

    assert "nobody-made-it" in str(_tick(quote_requests, instance, lake))
