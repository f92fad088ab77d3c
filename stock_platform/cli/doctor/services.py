"""Examinations of the services beside the lake: Redis, Postgres, mail, AWS."""

from contextlib import closing

import psycopg

from stock_platform.cli.doctor.check import Check
from stock_platform.errors import PermanentError, TransientError
from stock_platform.serving.aws import open_client, translated
from stock_platform.serving.report.mailer import open_mailer
from stock_platform.serving.sqs import QuoteQueue
from stock_platform.settings import (
    MailSettings,
    PostgresSettings,
    QueueSettings,
    RedisSettings,
    ServingSettings,
    load,
)
from stock_platform.stream.sinks.redis_store import open_value_store

TEST_KEY, TEST_TTL_S = "stock:test", 60
_TIMEOUT_S = 5
_POSTGRES_SAYS = {
    "28P01": "the password is not accepted",
    "28000": "the user is not accepted",
    "3D000": "the database does not exist",
    "53300": "too many connections",
}


def _try_redis() -> str:
    settings = load(RedisSettings)
    url = settings.redis_url.get_secret_value()
    with closing(open_value_store(url, settings.redis_token.get_secret_value())) as redis:
        redis.command("SET", TEST_KEY, "written by stocks doctor", "EX", TEST_TTL_S)
        found = redis.command("GET", TEST_KEY)
        left = redis.command("TTL", TEST_KEY)
    if found != b"written by stocks doctor" or not isinstance(left, int) or left < 1:
        raise PermanentError(f"{TEST_KEY} was written and did not come back as it was")
    kind = "Upstash" if url.startswith("http") else "Redis"
    return f"{kind}: {TEST_KEY} was written and read back, gone in {left} s"


def _ask_postgres() -> str:
    url = load(PostgresSettings).postgres_url.get_secret_value()
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S) as connection:
            version = connection.info.server_version // 10000
            found = connection.execute("SELECT to_regclass('stock_data') IS NOT NULL").fetchone()
    except psycopg.OperationalError as error:
        # The library's text quotes host, user and sometimes the URL: only the code is ours.
        why = _POSTGRES_SAYS.get(error.sqlstate or "", "it does not answer")
        raise TransientError(f"Postgres: {why}") from None
    except psycopg.Error as error:
        raise PermanentError(f"Postgres: {type(error).__name__}") from None
    there = "is there" if found and found[0] else "is made by the first upsert"
    return f"Postgres {version}; stock_data {there}"


def _knock_at_mail() -> str:
    settings = load(MailSettings)
    open_mailer(settings).check_connection()
    way = f"{settings.smtp_host}:{settings.smtp_port}"
    return f"{way if settings.mail_transport == 'smtp' else 'SES'} accepts us; nothing was sent"


def _ask_dynamodb() -> str:
    settings = load(ServingSettings)
    table = settings.latest_quotes_table
    with translated(f"DynamoDB: look at {table}"):
        status = open_client(settings, "dynamodb").describe_table(TableName=table)
    return f"table {table} is {status['Table']['TableStatus'].lower()}"


def _ask_sqs() -> str:
    queues, aws = load(QueueSettings), load(ServingSettings)
    queue = QuoteQueue.open(queues, aws)
    with translated("SQS: look at the queue"):
        told = queue.client.get_queue_attributes(
            QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"]
        )
    waiting = told["Attributes"]["ApproximateNumberOfMessages"]
    return f"both queues are there; about {waiting} requests wait"


def _ask_kinesis() -> str:
    settings = load(ServingSettings)
    with translated(f"Kinesis: look at {settings.quotes_stream}"):
        told = open_client(settings, "kinesis").describe_stream_summary(
            StreamName=settings.quotes_stream
        )
    return f"stream is {told['StreamDescriptionSummary']['StreamStatus'].lower()}"


def _uses_aws() -> bool:
    settings = load(ServingSettings)
    return bool(settings.aws_endpoint or settings.aws_access_key.get_secret_value())


def _uses_redis() -> bool:
    return bool(load(RedisSettings).redis_url.get_secret_value())


def _uses_postgres() -> bool:
    return bool(load(PostgresSettings).postgres_url.get_secret_value())


def _uses_mail() -> bool:
    return load(MailSettings).mail_transport != "none"


def _uses_kinesis() -> bool:
    return bool(load(ServingSettings).quotes_stream)


_AWS_KEYS = "set STOCKS_AWS_ACCESS_KEY and STOCKS_AWS_SECRET_KEY (or STOCKS_AWS_ENDPOINT)"

SERVICES = (
    Check(
        "redis",
        _uses_redis,
        _try_redis,
        "set REDIS_URL (and REDIS_TOKEN for Upstash)",
        "check REDIS_URL and REDIS_TOKEN, and that the server is reached from here",
    ),
    Check(
        "postgres",
        _uses_postgres,
        _ask_postgres,
        "set STOCKS_POSTGRES_URL; without it stock_data lives in SQLite",
        "check STOCKS_POSTGRES_URL, and that the server is reached from here",
    ),
    Check(
        "mail",
        _uses_mail,
        _knock_at_mail,
        "set STOCKS_MAIL_TRANSPORT to smtp or ses, and STOCKS_MAIL_FROM",
        "check STOCKS_SMTP_HOST, _PORT, _STARTTLS, _USER and _PASSWORD, or the SES keys",
    ),
    Check("dynamodb", _uses_aws, _ask_dynamodb, _AWS_KEYS, "create STOCKS_LATEST_QUOTES_TABLE"),
    Check(
        "sqs",
        _uses_aws,
        _ask_sqs,
        _AWS_KEYS,
        "create STOCKS_QUOTE_QUEUE, STOCKS_QUOTE_DEAD_LETTERS",
    ),
    Check(
        "kinesis",
        _uses_kinesis,
        _ask_kinesis,
        "set STOCKS_QUOTES_STREAM",
        "create the stream of STOCKS_QUOTES_STREAM",
    ),
)
