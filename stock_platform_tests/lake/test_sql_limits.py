"""A question only reads: nothing is written, nothing else is read, time and memory end."""

from pathlib import Path

import pytest

from stock_platform.errors import PermanentError
from stock_platform.lake import write
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.sql.query import connect, query
from stock_platform_tests.domain.examples import DAY, bars_of


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    opened = FileStore.open(tmp_path / "lake")
    write.publish_minute_bars(opened, DAY, bars_of([("A", 0)]))
    return opened


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{lake}/x.csv'",
        "COPY (SELECT 1) TO '{lake}/minute_bars/session=2026-11-19/data.parquet'",
        "COPY (PIVOT minute_bars ON symbol) TO '{lake}/x.csv'",
        "WITH x AS (COPY (SELECT 1) TO '{lake}/x.csv') SELECT * FROM x",
        "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{lake}/x.csv') SELECT * FROM x)",
        "FROM query('WITH x AS (COPY (SELECT 1) TO ''{lake}/x.csv'') SELECT 1')",
        "SELECT 1) UNION ALL (WITH x AS (COPY (SELECT 1) TO '{lake}/x.csv') SELECT * FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'",
        "EXPORT DATABASE '{lake}/out'",
        "ATTACH '{lake}/x.db'",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO minute_bars VALUES (1)",
        "DELETE FROM minute_bars",
        "DROP VIEW minute_bars",
        "SET memory_limit = '100GB'",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "INSTALL httpfs",
        "LOAD '{lake}/x.so'",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "",
        "   -- nothing",
    ],
)
def test_what_does_more_than_read_is_refused(store: FileStore, sql: str) -> None:
    before = files(store.folder)

    with pytest.raises(PermanentError, match=r"only one statement that reads|SQL is wrong"):
        query(store, sql.format(lake=store.root))

    assert files(store.folder) == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{other}/secret')",
        "SELECT * FROM read_csv('{other}/secret')",
        "SELECT * FROM '{other}/secret.parquet'",
        "SELECT * FROM glob('{other}/*')",
        "SELECT * FROM read_text('{lake}/../secret')",
        "SELECT * FROM read_text('https://example.com/')",
        "SELECT * FROM duckdb_secrets()",
    ],
)
def test_nothing_outside_the_lake_is_read(store: FileStore, tmp_path: Path, sql: str) -> None:
    (tmp_path / "secret").write_text("hidden")

    with pytest.raises(PermanentError) as refusal:
        query(store, sql.format(lake=store.root, other=tmp_path))

    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM minute_bars",
        "SELECT 1 AS one;",
        "SELECT 1 -- why; not",
        "DESCRIBE minute_bars",
        "SHOW TABLES",
        "SUMMARIZE minute_bars",
        "VALUES (1), (2)",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t",
        "PIVOT minute_bars ON symbol IN ('A') USING count(*)",
    ],
)
def test_every_way_to_read_is_answered(store: FileStore, sql: str) -> None:
    assert query(store, sql).height >= 1


def test_a_wrong_question_says_what_is_wrong(store: FileStore) -> None:
    with pytest.raises(PermanentError, match='column "clse" not found'):
        query(store, "SELECT clse FROM minute_bars")


def test_a_question_that_takes_too_long_is_stopped(store: FileStore) -> None:
    endless = "SELECT sum(hash(a.range + b.range)) FROM range(10000000) a, range(10000000) b"

    with pytest.raises(PermanentError, match=r"took longer than 0\.3 s"):
        query(store, endless, timeout_s=0.3)


def test_a_question_that_needs_too_much_memory_is_stopped(store: FileStore) -> None:
    with pytest.raises(PermanentError, match="needs more than 100MB of memory"):
        query(store, "SELECT list(range) FROM range(100000000)", memory="100MB")


def test_the_settings_of_a_connection_are_locked(store: FileStore) -> None:
    import duckdb

    with connect(store) as connection, pytest.raises(duckdb.InvalidInputException, match="locked"):
        connection.execute("SET enable_external_access = true")
