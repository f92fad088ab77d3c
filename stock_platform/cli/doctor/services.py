"""Checks of the services beside the lake: Redis, Postgres, mail, AWS."""

from contextlib import closing

import psycopg

from stock_platform.cli.doctor.check import Check
from stock_platform.errors import PermanentError, TransientError
from stock_platform.serving.aws import open_client, translated
from stock_platform.serving.report.mailer import open_mailer
from stock_platform.serving.sqs import QuoteQueue
from stock_platform.settings import Settings
from stock_platform.stream.sinks.redis_store import open_value_store

TEST_KEY, TEST_TTL_S = "stock:test", 60
_TIMEOUT_S = 5
_POSTGRES_ERRORS = {
    "28P01": "the password is not accepted",
    "28000": "the user is not accepted",
    "3D000": "the database does not exist",
    "53300": "too many connections",
}


def _check_redis(settings: Settings) -> str:
    redis_settings = settings.redis
    url = redis_settings.redis_url.get_secret_value()
    with closing(open_value_store(url, redis_settings.redis_token.get_secret_value())) as redis:
        redis.command("SET", TEST_KEY, "written by stocks doctor", "EX", TEST_TTL_S)
        found = redis.command("GET", TEST_KEY)
        left = redis.command("TTL", TEST_KEY)
    if found != b"written by stocks doctor" or not isinstance(left, int) or left < 1:
        raise PermanentError(f"{TEST_KEY} was written and did not come back as it was")
    kind = "Upstash" if url.startswith("http") else "Redis"
    return f"{kind}: {TEST_KEY} was written and read back, gone in {left} s"


def _check_postgres(settings: Settings) -> str:
    url = settings.postgres.postgres_url.get_secret_value()
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S) as connection:
            version = connection.info.server_version // 10000
            found = connection.execute("SELECT to_regclass('stock_data') IS NOT NULL").fetchone()
    except psycopg.OperationalError as error:
        # The library's text quotes host, user and sometimes the URL: only the code is ours.
        why = _POSTGRES_ERRORS.get(error.sqlstate or "", "the server does not respond")
        raise TransientError(f"Postgres: {why}") from None
    except psycopg.Error as error:
        raise PermanentError(f"Postgres: {type(error).__name__}") from None
    there = "is there" if found and found[0] else "is created by the first upsert"
    return f"Postgres {version}; stock_data {there}"


def _check_mail(settings: Settings) -> str:
    mail = settings.mail
    open_mailer(mail).check_connection()
    way = f"{mail.smtp_host}:{mail.smtp_port}"
    return f"{way if mail.mail_transport == 'smtp' else 'SES'} accepts the login; nothing was sent"


def _check_dynamodb(settings: Settings) -> str:
    aws = settings.serving
    table = aws.latest_quotes_table
    with translated(f"DynamoDB: describe {table}"):
        status = open_client(aws, "dynamodb").describe_table(TableName=table)
    return f"table {table} is {status['Table']['TableStatus'].lower()}"


def _check_sqs(settings: Settings) -> str:
    queues, aws = settings.queue, settings.serving
    queue = QuoteQueue.open(queues, aws)
    with translated("SQS: read the attributes of the queue"):
        found = queue.client.get_queue_attributes(
            QueueUrl=queue.url, AttributeNames=["ApproximateNumberOfMessages"]
        )
    waiting = found["Attributes"]["ApproximateNumberOfMessages"]
    return f"both queues are there; about {waiting} requests wait"


def _check_kinesis(settings: Settings) -> str:
    aws = settings.serving
    with translated(f"Kinesis: describe {aws.quotes_stream}"):
        found = open_client(aws, "kinesis").describe_stream_summary(StreamName=aws.quotes_stream)
    return f"stream is {found['StreamDescriptionSummary']['StreamStatus'].lower()}"


def _uses_aws(settings: Settings) -> bool:
    aws = settings.serving
    return bool(aws.aws_endpoint or aws.aws_access_key.get_secret_value())


def _uses_redis(settings: Settings) -> bool:
    return bool(settings.redis.redis_url.get_secret_value())


def _uses_postgres(settings: Settings) -> bool:
    return bool(settings.postgres.postgres_url.get_secret_value())


def _uses_mail(settings: Settings) -> bool:
    return settings.mail.mail_transport != "none"


def _uses_kinesis(settings: Settings) -> bool:
    return bool(settings.serving.quotes_stream)


_AWS_KEYS = "set STOCKS_AWS_ACCESS_KEY and STOCKS_AWS_SECRET_KEY (or STOCKS_AWS_ENDPOINT)"

SERVICES = (
    Check(
        name="redis",
        used=_uses_redis,
        run=_check_redis,
        to_use="set REDIS_URL (and REDIS_TOKEN for Upstash)",
        remedy="check REDIS_URL and REDIS_TOKEN, and that the server is reached from here",
    ),
    Check(
        name="postgres",
        used=_uses_postgres,
        run=_check_postgres,
        to_use="set STOCKS_POSTGRES_URL; without it stock_data lives in SQLite",
        remedy="check STOCKS_POSTGRES_URL, and that the server is reached from here",
    ),
    Check(
        name="mail",
        used=_uses_mail,
        run=_check_mail,
        to_use="set STOCKS_MAIL_TRANSPORT to smtp or ses, and STOCKS_MAIL_FROM",
        remedy="check STOCKS_SMTP_HOST, _PORT, _STARTTLS, _USER and _PASSWORD, or the SES keys",
    ),
    Check(
        name="dynamodb",
        used=_uses_aws,
        run=_check_dynamodb,
        to_use=_AWS_KEYS,
        remedy="create STOCKS_LATEST_QUOTES_TABLE",
    ),
    Check(
        name="sqs",
        used=_uses_aws,
        run=_check_sqs,
        to_use=_AWS_KEYS,
        remedy="create STOCKS_QUOTE_QUEUE, STOCKS_QUOTE_DEAD_LETTERS",
    ),
    Check(
        name="kinesis",
        used=_uses_kinesis,
        run=_check_kinesis,
        to_use="set STOCKS_QUOTES_STREAM",
        remedy="create the stream of STOCKS_QUOTES_STREAM",
    ),
)
