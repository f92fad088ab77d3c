"""The tables over the archive: generated, committed, and true of what is written."""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.archive.athena import CHANNELS, ddl
from stock_platform.stream.sinks.archive.sink import ArchiveSink
from stock_platform.stream.sinks.archive.state import Naming
from stock_platform.stream.sinks.archive.store import ArchiveStore
from stock_platform_tests.stream.servers import Bucket
from stock_platform_tests.stream.test_archive import NOON, options, run_to_end

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "athena"
NOON_DAY = datetime.fromtimestamp(NOON / 1e6, UTC)
FRAME = (
    b'[{"ev":"AM","sym":"MSFT","v":10,"dv":"10.5","av":9,"dav":"9.25","op":1.5,"vw":2.5,"o":1,'
    b'"c":2,"h":3,"l":0.5,"a":2.25,"z":5,"s":1795276740000,"e":1795276800000,"otc":true},'
    b'{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":1795276800000},'
    b'{"ev":"T","sym":"NA","x":4,"i":"12345","z":3,"p":114.125,"s":0,"ds":"0.25","c":[0,12],'
    b'"t":1795276800000,"q":3681328,"trfi":201,"trft":1795276800001},'
    b'{"ev":"Q","sym":"BRK.B","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,'
    b'"i":[604],"t":1795276800000,"q":50385480,"z":3}]'
)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_deployed_ddl_is_the_generated_one(channel: str) -> None:
    assert (DEPLOYED / f"{channel.lower()}.sql").read_text() == ddl(channel)


def test_what_is_written_reads_back_through_the_same_columns(
    journal: JournalWriter, folder: Path, tmp_path: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [FRAME], NOON)
    run_to_end(ArchiveSink(options(folder, s3), store), folder)
    for name in s3.names():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(s3.read(name))

    rows = {
        channel: duckdb.sql(
            "SELECT * FROM read_json($files, format => 'newline_delimited', "
            f"columns => {_columns(channel)}, hive_partitioning => false)",
            params={"files": f"{tmp_path}/cold/channel={channel}/*/*/*/*/*/*.ndjson"},
        ).fetchall()
        for channel in CHANNELS
    }

    assert rows["AM"][0] == (
        *("AM", "MSFT", 10, "10.5", 9, "9.25", 1.5, 2.5, 1.0, 2.0, 3.0, 0.5, 2.25, 5),
        *(1795276740000, 1795276800000, True, 1795276800000),
    )
    assert rows["T"][0] == (
        *("T", "NA", 4, "12345", 3, 114.125, 0.0, "0.25", [0, 12]),
        *(1795276800000, 3681328, 201, 1795276800001, 1795276800000),
    )
    assert rows["Q"][0] == (
        *("Q", "BRK.B", 4, 114.125, 100.0, 7, 114.128, 160.0, 0, [604]),
        *(1795276800000, 50385480, 3, 1795276800000),
    )
    assert rows["FMV"][0] == ("FMV", 189.22, "AAPL", 1795276800000, 1795276800000)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_projected_folders_are_those_that_are_written(
    channel: str, journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    """Athena asks for the objects below the template, day by day and hour by hour."""
    journal.append_frames(0, 1, [FRAME], NOON)
    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    settings = dict(re.findall(r"'([\w.]+)' = '([^']*)'", ddl(channel)))
    place = settings["storage.location.template"].replace("s3://BUCKET/PREFIX/", "cold/")
    day = NOON_DAY.strftime(
        settings["projection.ingest_dt.format"]
        .replace("yyyy", "%Y")
        .replace("MM", "%m")
        .replace("dd", "%d")
    )
    hour = f"{NOON_DAY.hour:0{settings['projection.hour.digits']}d}"
    names = s3.names(place.replace("${ingest_dt}", day).replace("${hour}", hour))
    low, high = settings["projection.hour.range"].split(",")

    assert settings["projection.enabled"] == "true"
    assert len(names) == 1
    assert int(low) <= NOON_DAY.hour <= int(high)
    assert settings["projection.ingest_dt.range"].split(",")[0] <= day


def test_compressed_objects_read_back_through_the_same_columns(
    journal: JournalWriter, folder: Path, tmp_path: Path, s3: Bucket, store: ArchiveStore
) -> None:
    """Each batch is a frame of its own: a reader must go on behind the first."""
    for number in range(3):
        journal.append_frames(0, 1, [FRAME], NOON + number)
    naming = Naming("cold", "host1", 30, ".ndjson.zst")
    archive = ArchiveSink(options(folder, s3, zstd=True, naming=naming), store)
    tail = JournalReader(folder)
    for record in tail.read():
        archive.add([record])
    archive.close()
    run_to_end(ArchiveSink(options(folder, s3, zstd=True, naming=naming), store), folder)
    [key] = [name for name in s3.names() if "channel=T" in name]
    (tmp_path / "t.ndjson.zst").write_bytes(s3.read(key))

    rows = duckdb.sql(
        "SELECT sym, p, ingestTs FROM read_json($file, format => 'newline_delimited', "
        f"columns => {_columns('T')})",
        params={"file": str(tmp_path / "t.ndjson.zst")},
    ).fetchall()

    assert rows == [("NA", 114.125, 1795276800000)] * 3


_DUCKDB = {
    "string": "VARCHAR",
    "bigint": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "array<int>": "INTEGER[]",
}


def _columns(channel: str) -> str:
    # Hive folds case: the file's own name of this one is another.
    named = {{"ingestts": "ingestTs"}.get(n, n): kind for n, kind in CHANNELS[channel].items()}
    pairs = ", ".join(f"'{name}': '{_DUCKDB[kind]}'" for name, kind in named.items())
    return "{" + pairs + "}"
