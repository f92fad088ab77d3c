"""The SQS queue of quote requests (`{"symbol": ...}`): filled every minute and answered.

A request is deleted only after its quote is published: whatever dies in between, the
queue hands it out again.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from stock_platform.components.failures import no_retry_unless_transient
from stock_platform.components.partitions import calendar, key_of
from stock_platform.components.secrets import SecretsResource
from stock_platform.components.settings_at_load import INTERVAL_S
from stock_platform.defs.quotes.assets import raw_quotes
from stock_platform.defs.resources import LakeResource, ProvidersResource
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.lake import append_log, write
from stock_platform.pipelines.context import universe_on
from stock_platform.pipelines.quotes import NO_AWS, NO_QUOTES, wants_quote_requests
from stock_platform.providers.fallback import FallbackQuoteSource
from stock_platform.settings import Settings

if TYPE_CHECKING:
    from stock_platform.serving.sqs import QuoteQueue

NOT_USED = f"no queue of quote requests is configured: {NO_AWS}"
_GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def _queue(settings: Settings) -> "QuoteQueue":
    # boto3 is loaded by those who use a queue, not by every process that reads definitions.
    from stock_platform.serving.sqs import QuoteQueue

    return QuoteQueue.open(settings.queue, settings.serving)


@dg.op(pool="provider_rest")
@no_retry_unless_transient
def answer(
    context: dg.OpExecutionContext,
    lake: LakeResource,
    providers: ProvidersResource,
    secrets: SecretsResource,
) -> None:
    """Receive requests ten at a time, fetch their quotes, publish, and only then delete them."""
    from stock_platform.serving.quote_requests import process_requests

    settings = secrets.settings()
    store, minutes = lake.store(settings), set[datetime]()

    def keep(session: date, quotes: pl.DataFrame) -> None:
        write.publish_quotes(store, session, quotes)
        minutes.update(quotes["minute"].to_list())

    with _recorded(context, minutes), providers.open() as opened:
        if not opened.quotes:
            raise PermanentError(NO_QUOTES)
        done = process_requests(
            _queue(settings),
            FallbackQuoteSource(opened.quotes),
            keep,
            quarantine=lambda rejected: append_log.record_rejected(store, rejected),
            batches_max=settings.queue.quote_batches_max,
        )
    context.log.info(
        f"{done.answered} requests answered, {done.dead_lettered} dead-lettered, "
        f"{done.released} released" + (f": {done.detail}" if done.detail else "")
    )


@contextmanager
def _recorded(context: dg.OpExecutionContext, minutes: set[datetime]) -> Generator[None]:
    """Record what was published as materializations of raw_quotes, whatever happens after."""
    try:
        yield
    finally:
        labels = set(calendar().minute_labels())
        for minute in sorted(minutes):
            local = minute.astimezone(NEW_YORK)
            label = local.strftime("%H:%M")
            if label in labels and calendar().is_session(local.date()):
                context.log_event(
                    dg.AssetMaterialization(
                        raw_quotes.key,
                        partition=key_of(local.date(), label),
                        metadata={"source": "quote requests"},
                    )
                )


@dg.job
def answer_quote_requests() -> None:
    """Answer the quote requests that wait in the queue."""
    answer()


@dg.sensor(
    job=answer_quote_requests,
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def quote_requests(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Start one run that answers all requests waiting in the queue."""
    settings = SecretsResource().settings()
    if not wants_quote_requests(settings):
        return dg.SkipReason(NOT_USED)
    going = dg.RunsFilter(job_name=answer_quote_requests.name, statuses=_GOING)
    if context.instance.get_runs_count(going):
        return dg.SkipReason("a run is answering requests")
    try:
        waiting = _queue(settings).waiting()
    except PlatformError as problem:
        context.log.error(str(problem))
        return dg.SkipReason(str(problem))
    if not waiting:
        return dg.SkipReason("no request waits")
    context.log.info(f"about {waiting} requests wait")
    return dg.RunRequest()


@dg.schedule(
    job=answer_quote_requests,
    cron_schedule="* * * * *",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def quote_request_schedule(
    context: dg.ScheduleEvaluationContext, lake: LakeResource
) -> dg.SkipReason:
    """Enqueue one request per expected symbol and minute of a session.

    Starts no run: the sensor `quote_requests` finds the requests and starts one.
    """
    settings = SecretsResource().settings()
    if not wants_quote_requests(settings):
        return dg.SkipReason(NOT_USED)
    minute = context.scheduled_execution_time.astimezone(UTC)
    session = minute.astimezone(NEW_YORK).date()
    if not calendar().is_session(session):
        return dg.SkipReason(f"{session} is no session")
    grid = calendar().grid(session)
    if not grid.opens_at <= minute < grid.closes_at:
        return dg.SkipReason("the market is closed")
    lake_context = lake.context(settings)
    try:
        symbols = universe_on(lake_context.store, session, lake_context.market)
        sent = _queue(settings).enqueue(symbols)
    except PlatformError as problem:
        context.log.error(str(problem))
        return dg.SkipReason(str(problem))
    return dg.SkipReason(f"{sent} requests were enqueued for {minute:%H:%M} UTC")
