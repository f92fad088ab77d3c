"""`stocks replay`: archived NDJSON back through the same sinks.

Redis gets the newest values and the lake the minute bars, exactly as from the
feed; the archive itself is left alone. May be repeated: nothing changes.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import boto3
import msgspec
import zstandard

from stock_platform.errors import PermanentError
from stock_platform.lake.object_store import open_store
from stock_platform.settings import Settings, StreamSettings
from stock_platform.stream.journal.consumer import JournalConsumer, Sink
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.processes import FEED_NAMES, latest_options, writer
from stock_platform.stream.sinks.archive.lines import without_ingest_time
from stock_platform.stream.sinks.lake_bars import BarsOptions, LakeBarsSink
from stock_platform.stream.sinks.redis_latest import LatestSink
from stock_platform.stream.sinks.redis_store import open_value_store

BATCH_LINES = 500
SEGMENT_BYTES = 64 * 1024 * 1024
REALTIME = frozenset({"AM", "FMV"})
SUFFIXES = (".ndjson", ".ndjson.zst")


@dataclass(slots=True, kw_only=True)
class ReplayResult:
    """What was fed back."""

    objects: int = 0
    events: int = 0
    written: int = 0
    bars: int = 0


class _Stamped(msgspec.Struct):
    ingestTs: int = 0
    ev: str = ""


def replay(source: str, settings: Settings) -> ReplayResult:
    """Feed a file, a folder or `s3://bucket/prefix` back, object by object.

    Raise `PermanentError` when `source` holds no archived object.
    """
    done = ReplayResult()
    for stream in _objects(source, settings.stream):
        with TemporaryDirectory(prefix="stocks-replay-") as folder, stream:
            journal = Path(folder)
            done.events += _to_journal(stream, journal)
            _through_sinks(journal, settings, done)
        done.objects += 1
    if not done.objects:
        raise PermanentError(f"no object ending in {' or '.join(SUFFIXES)} at {source}")
    return done


def _objects(source: str, settings: StreamSettings) -> Iterator[BinaryIO]:
    url = urlsplit(source)
    if url.scheme == "s3":
        yield from _from_s3(url.netloc, url.path.strip("/"), settings)
        return
    path = Path(source)
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    for found in paths:
        if found.is_file() and found.name.endswith(SUFFIXES):
            yield _plain(found.open("rb"), found.name)


def _from_s3(bucket: str, prefix: str, settings: StreamSettings) -> Iterator[BinaryIO]:
    client: Any = boto3.client(
        "s3", region_name=settings.aws_region, endpoint_url=settings.s3_endpoint_url or None
    )
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            if item["Key"].endswith(SUFFIXES):
                # Onto disk first: a slow consumer must not keep an HTTP connection open.
                with TemporaryFile() as spooled:
                    client.download_fileobj(bucket, item["Key"], spooled)
                    spooled.seek(0)
                    yield _plain(cast("BinaryIO", spooled), item["Key"])


def _plain(stream: BinaryIO, name: str) -> BinaryIO:
    if not name.endswith(".zst"):
        return stream
    reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", reader)))


def _to_journal(stream: BinaryIO, folder: Path) -> int:
    journal = JournalWriter(folder, segment_bytes=SEGMENT_BYTES, bytes_max=1 << 50, policy="pause")
    count = 0
    batch: list[bytes] = []
    for line in stream:
        if not line.strip():
            continue
        batch.append(line)
        count += 1
        if len(batch) >= BATCH_LINES:
            _append(journal, batch)
            batch = []
    if batch:
        _append(journal, batch)
    journal.close()
    return count


def _append(journal: JournalWriter, lines: list[bytes]) -> None:
    try:
        first = msgspec.json.decode(lines[0], type=_Stamped)
    except msgspec.MsgspecError:
        first = _Stamped()
    frame = b"[" + b",".join(map(without_ingest_time, lines)) + b"]"
    feed = 0 if first.ev in REALTIME else 1
    if not journal.append_frames(feed, 1, [frame], first.ingestTs * 1000):
        raise PermanentError("the disk has no room for the replay")


def _through_sinks(journal: Path, settings: Settings, done: ReplayResult) -> None:
    options = latest_options(settings.stream, journal)
    values = open_value_store(options.redis_url, options.redis_token, publish=options.publish)
    latest = LatestSink(options, values)
    _drain(journal, latest)
    latest.close()
    done.written += int(str(latest.status()["written"]))
    if settings.stream.stream_to_lake:
        bars_options = BarsOptions(
            journal=journal,
            lake=settings.lake,
            market=settings.market,
            writer=writer("replay"),
            feeds=FEED_NAMES,
            covers_market=False,
        )
        bars = LakeBarsSink(bars_options, open_store(settings.lake))
        _drain(journal, bars)
        done.bars += int(str(bars.status()["bars"]))


def _drain(journal: Path, sink: Sink) -> None:
    consumer = JournalConsumer(journal, sink)
    consumer.stop()
    consumer.run(lambda: True)
