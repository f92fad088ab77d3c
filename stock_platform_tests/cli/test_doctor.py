"""`stocks doctor` against real servers: what it finds, and what it never says."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stock_platform.cli import app
from stock_platform.cli.doctor import services
from stock_platform.cli.doctor.check import Check, run_check
from stock_platform.errors import PermanentError
from stock_platform.settings import Settings
from stock_platform.simulator.server import Simulator, running
from stock_platform_tests.serving.mail_servers import smtp_server
from stock_platform_tests.serving.running import running_postgres
from stock_platform_tests.stream.servers import free_port, redis_server
from stock_platform_tests.stream.test_sinks import TOKEN, upstash

Doctor = Callable[..., Result]
SECRET = "canary-5f3a"


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the command in an empty folder, with the environment given."""
    monkeypatch.chdir(tmp_path)

    def run(*what: str, **environment: str) -> Result:
        wide = {"COLUMNS": "240", **environment}
        return CliRunner().invoke(app, ["doctor", *what], env=wide)

    return run


@pytest.fixture(scope="module")
def simulator() -> Generator[Simulator]:
    with running({"market": {"synthetic": {"symbols": 20}}}) as simulator:
        yield simulator


def test_a_platform_without_keys_and_services_is_sound(doctor: Doctor) -> None:
    result = doctor()

    assert result.exit_code == 0
    assert "failed" not in result.output


def test_the_lake_is_tried_and_left_as_it_was(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()

    result = doctor("lake", STOCKS_LAKE=str(tmp_path / "lake"))

    assert "writes, reads, swaps and deletes" in result.output
    assert [file.name for file in (tmp_path / "lake").iterdir() if file.name[0] != "."] == []


def test_a_lake_that_is_not_there_yet_is_not_made(doctor: Doctor, tmp_path: Path) -> None:
    result = doctor(STOCKS_LAKE=str(tmp_path / "new" / "lake"), STOCKS_SYMBOLS="AAPL")

    assert result.exit_code == 0
    assert "not there yet" in result.output
    assert not (tmp_path / "new").exists()


def test_a_lake_that_cannot_be_made_is_wrong(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    result = doctor("lake", STOCKS_LAKE=str(tmp_path / "file" / "lake"))

    assert result.exit_code == 1
    assert "cannot be made" in result.output


def test_a_lake_that_is_a_file_is_wrong(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")

    result = doctor("lake", STOCKS_LAKE=str(tmp_path / "lake"))

    assert result.exit_code == 1
    assert "STOCKS_LAKE names a folder" in result.output


def test_an_override_file_that_is_missing_is_named(doctor: Doctor) -> None:
    result = doctor("calendar", STOCKS_CALENDAR_OVERRIDES="closures.yaml")

    assert result.exit_code == 1
    assert "closures.yaml" in result.output


def test_an_unknown_name_is_answered_with_the_known_ones(doctor: Doctor) -> None:
    result = doctor("nonsense")

    assert isinstance(result.exception, PermanentError)
    assert "redis" in str(result.exception)


def test_a_dependency_asked_for_by_name_and_not_set_is_a_failure(doctor: Doctor) -> None:
    result = doctor("redis")

    assert result.exit_code == 1
    assert "set REDIS_URL" in result.output


@pytest.mark.parametrize("vendor", ["massive", "massive_flatfiles", "finnhub", "rapidapi"])
def test_every_vendor_that_answers_is_sound(
    doctor: Doctor, simulator: Simulator, vendor: str
) -> None:
    last = {"STOCKS_FIRST_SESSION": "2026-11-12", "STOCKS_LAST_SESSION": "2026-11-18"}

    result = doctor(vendor, **simulator.environment(), **last)

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("vendor", "key"),
    [
        ("massive", "MASSIVE_API_KEY"),
        ("massive_flatfiles", "MASSIVE_FLATFILES_SECRET_KEY"),
        ("finnhub", "FINNHUB_API_KEY"),
        ("rapidapi", "RAPIDAPI_KEY"),
    ],
)
def test_a_wrong_key_is_wrong_and_never_printed(
    doctor: Doctor, simulator: Simulator, vendor: str, key: str
) -> None:
    result = doctor(vendor, **{**simulator.environment(), key: SECRET})

    assert result.exit_code == 1
    assert SECRET not in result.output


def test_one_vendors_wrong_settings_do_not_hide_that_another_works(
    doctor: Doctor, simulator: Simulator
) -> None:
    result = doctor("finnhub", **{**simulator.environment(), "RAPIDAPI_URL": "nowhere"})

    assert result.exit_code == 0, result.output


def test_redis_is_written_with_a_time_to_live_and_read_back(doctor: Doctor, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        result = doctor("redis", REDIS_URL=redis.url)
        left = redis.client.ttl(services.TEST_KEY)

    assert result.exit_code == 0, result.output
    assert 0 < left <= 60


def test_redis_behind_upstash_is_written_and_read_back_too(doctor: Doctor, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, upstash(redis.port) as url:
        result = doctor("redis", REDIS_URL=url, REDIS_TOKEN=TOKEN)
        refused = doctor("redis", REDIS_URL=url, REDIS_TOKEN=SECRET)
        left = redis.client.ttl("stock:test")

    assert result.exit_code == 0, result.output
    assert "Upstash: stock:test was written and read back" in result.output
    assert 0 < left <= 60
    assert refused.exit_code == 1
    assert SECRET not in refused.output


def test_a_redis_that_is_not_there_is_wrong_without_its_password(doctor: Doctor) -> None:
    result = doctor("redis", REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{free_port()}/0")

    assert result.exit_code == 1
    assert SECRET not in result.output


def test_postgres_is_asked_and_not_migrated(doctor: Doctor) -> None:
    with running_postgres() as url:
        result = doctor("postgres", STOCKS_POSTGRES_URL=url)

    assert result.exit_code == 0, result.output
    assert "is created by the first upsert" in result.output


def test_a_postgres_that_is_not_there_is_wrong_without_its_password(doctor: Doctor) -> None:
    url = f"postgresql://stocks:{SECRET}@127.0.0.1:{free_port()}/stocks"

    result = doctor("postgres", STOCKS_POSTGRES_URL=url)

    assert result.exit_code == 1
    assert SECRET not in result.output


def test_the_mail_server_is_greeted_and_gets_no_mail(doctor: Doctor) -> None:
    with smtp_server() as mailbox:
        result = doctor(
            "mail",
            STOCKS_MAIL_TRANSPORT="smtp",
            STOCKS_MAIL_FROM="stocks@example.com",
            STOCKS_SMTP_HOST=mailbox.host,
            STOCKS_SMTP_PORT=str(mailbox.port),
            STOCKS_SMTP_STARTTLS="false",
        )

    assert result.exit_code == 0, result.output
    assert mailbox.received == []


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "kinesis"])
def test_what_does_not_exist_at_aws_is_wrong(doctor: Doctor, moto_url: str, service: str) -> None:
    result = doctor(
        service,
        STOCKS_AWS_ENDPOINT=moto_url,
        STOCKS_AWS_ACCESS_KEY="test",
        STOCKS_AWS_SECRET_KEY=SECRET,
        STOCKS_QUOTES_STREAM="quotes",
    )

    assert result.exit_code == 1
    assert "create" in result.output


def test_an_instance_of_dagster_is_opened(doctor: Doctor, tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")

    result = doctor("dagster", DAGSTER_HOME=str(home))

    assert result.exit_code == 0, result.output
    assert "0 runs" in result.output


def test_an_error_nobody_foresaw_is_named_without_its_text() -> None:
    def explode(_: Settings) -> str:
        raise RuntimeError(f"postgresql://user:{SECRET}@host")

    finding = run_check(
        Check(name="it", used=lambda _: True, run=explode, to_use="", remedy="remedy"),
        Settings.from_env(),
        named=False,
    )

    assert (finding.ok, finding.text) == (False, "unexpected RuntimeError")
