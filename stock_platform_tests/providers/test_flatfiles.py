"""Flat files behind a real S3 server, and behind one that misbehaves."""

import gzip
from collections.abc import Generator
from datetime import UTC, date, datetime
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from stock_platform.domain.revision import Revision
from stock_platform.domain.sessions import Calendar
from stock_platform.errors import (
    InvalidDataError,
    NotEntitledError,
    PermanentError,
    PlatformError,
    TransientError,
)
from stock_platform.providers.massive.flat_files import (
    DAY_AGGS,
    MINUTE_AGGS,
    FlatFiles,
    open_bucket,
    to_key,
)
from stock_platform.providers.sources import DailySource, SessionSource
from stock_platform.providers.transport.client import RetryPolicy
from stock_platform.testing.loopback import CannedResponse, ReceivedRequest, Vendor
from stock_platform_tests.providers.conftest import CANARY
from stock_platform_tests.providers.test_flatfile_rows import AT, HEADER, SESSION, line

GRID = Calendar().grid(SESSION)
ASKED = datetime(2026, 2, 28, 17, 0, tzinfo=UTC)
HASTY = RetryPolicy(timeout_s=1.0, attempts_max=2, backoff_s=0.001, wait_max_s=0.01)


def files_at(url: str) -> FlatFiles:
    bucket = open_bucket(
        url,
        "flatfiles",
        access_key=SecretStr("access"),
        secret_key=SecretStr(CANARY),
        retry=HASTY,
    )
    return FlatFiles(bucket, Calendar(), clock=lambda: ASKED)


@pytest.fixture(scope="module")
def s3_url() -> Generator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=s3_url,
        region_name="us-east-1",
        aws_access_key_id="access",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="flatfiles")
    yield client
    for found in client.list_objects_v2(Bucket="flatfiles").get("Contents", []):
        client.delete_object(Bucket="flatfiles", Key=found["Key"])
    client.delete_bucket(Bucket="flatfiles")
    client.close()


def put(s3: Any, dataset: str, *lines: str, session: date = SESSION) -> None:
    body = gzip.compress("\n".join([HEADER, *lines, ""]).encode())
    s3.put_object(Bucket="flatfiles", Key=to_key(dataset, session), Body=body)


def test_the_key_names_year_month_and_day() -> None:
    assert to_key(MINUTE_AGGS, date(2026, 2, 7)) == (
        "us_stocks_sip/minute_aggs_v1/2026/02/2026-02-07.csv.gz"
    )


def test_it_is_a_source_of_sessions_and_days(s3_url: str) -> None:
    files = files_at(s3_url)

    assert isinstance(files, SessionSource)
    assert isinstance(files, DailySource)


def test_a_published_session_answers_for_every_symbol_at_final(s3: Any, s3_url: str) -> None:
    put(s3, MINUTE_AGGS, line("NA"), line("TRUE"), line("A", at=AT - 60_000_000_000))

    response = files_at(s3_url).session_minute_bars(SESSION, GRID)

    assert response.bars["symbol"].to_list() == ["NA", "TRUE"]
    assert (response.symbols, response.revision, response.outcome) == (None, Revision.FINAL, "ok")
    assert (response.first, response.last) == (GRID.opens_at, GRID.minute(389))


def test_before_publication_there_is_no_fingerprint_and_asking_is_transient(
    s3: Any, s3_url: str
) -> None:
    files = files_at(s3_url)

    with pytest.raises(TransientError, match="not published"):
        files.session_minute_bars(SESSION, GRID)

    assert files.fingerprint(SESSION) is None


def test_a_replaced_file_has_another_fingerprint(s3: Any, s3_url: str) -> None:
    files = files_at(s3_url)
    put(s3, MINUTE_AGGS, line("A"))
    first = files.fingerprint(SESSION)
    repeated = files.fingerprint(SESSION)

    put(s3, MINUTE_AGGS, line("A"), line("B"))

    assert first is not None
    assert repeated == first
    assert files.fingerprint(SESSION) != first


def test_daily_files_answer_for_all_symbols_and_for_one(s3: Any, s3_url: str) -> None:
    for day in (26, 27):
        session = date(2026, 2, day)
        at = int(datetime(2026, 2, day, 5, tzinfo=UTC).timestamp()) * 1_000_000_000
        put(s3, DAY_AGGS, line("A", at=at), line("B", at=at), session=session)
    files = files_at(s3_url)

    everybody = files.daily_bars(SESSION)
    one = files.daily_bars_of("B", date(2026, 2, 26), SESSION)

    assert everybody.bars["symbol"].to_list() == ["A", "B"]
    assert one.bars.select("symbol", "session").rows() == [
        ("B", date(2026, 2, 26)),
        ("B", date(2026, 2, 27)),
    ]


def s3_error(status: int, code: str) -> CannedResponse:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'
    return CannedResponse(
        body=body.encode(), status=status, headers={"Content-Type": "application/xml"}
    )


WHOLE = gzip.compress(f"{HEADER}\n{line()}\n".encode())
STAMP = {"ETag": '"1"', "Last-Modified": "Sat, 28 Feb 2026 16:00:00 GMT"}
FAULTS: dict[str, tuple[CannedResponse, type[PlatformError]]] = {
    "outside the plan": (s3_error(403, "AccessDenied"), NotEntitledError),
    "a wrong key": (s3_error(403, "InvalidAccessKeyId"), PermanentError),
    "a wrong signature": (s3_error(403, "SignatureDoesNotMatch"), PermanentError),
    "slow down": (s3_error(503, "SlowDown"), TransientError),
    "internal error": (s3_error(500, "InternalError"), TransientError),
    "a reset": (CannedResponse(reset=True), TransientError),
    "a body that breaks off": (
        CannedResponse(body=WHOLE, status=200, headers=STAMP, cut=20),
        TransientError,
    ),
    "an object that ends early": (
        CannedResponse(body=WHOLE[:-10], status=200, headers=STAMP),
        InvalidDataError,
    ),
    "an object that is a page": (
        CannedResponse(body=b"<html></html>", status=200, headers=STAMP),
        InvalidDataError,
    ),
}


@pytest.mark.parametrize(("said", "kind"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_one_problem_that_tells_no_key(
    said: CannedResponse, kind: type[PlatformError], vendor: Vendor
) -> None:
    vendor.response = lambda _: said

    with pytest.raises(PlatformError) as caught:
        files_at(vendor.url).session_minute_bars(SESSION, GRID)

    assert type(caught.value) is kind
    assert CANARY not in f"{caught.value} {caught.value.__context__} {caught.value.__cause__}"


def test_a_refused_head_is_refused(vendor: Vendor) -> None:
    vendor.response = lambda _: CannedResponse(body=b"", status=403)

    with pytest.raises(NotEntitledError):
        files_at(vendor.url).fingerprint(SESSION)


def test_the_secret_key_is_in_no_address_and_no_header(vendor: Vendor) -> None:
    vendor.response = lambda _: CannedResponse(body=WHOLE, status=200, headers=STAMP)

    files_at(vendor.url).session_minute_bars(SESSION, GRID)

    heard: ReceivedRequest = vendor.received[0]
    assert CANARY not in f"{heard.target} {heard.headers}"
    assert heard.path == f"/flatfiles/{to_key(MINUTE_AGGS, SESSION)}"


def test_a_year_of_one_symbol_is_too_much_to_ask_at_once(
    s3_url: str,
) -> None:
    with pytest.raises(PermanentError):
        files_at(s3_url).daily_bars_of("A", date(2020, 1, 1), SESSION)
