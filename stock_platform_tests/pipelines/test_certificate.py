"""Certificates: a copy of the lake reproduces them, any changed row changes them."""

import hashlib
import json
import shutil
from io import BytesIO
from pathlib import Path

import polars as pl

from stock_platform.domain.bars import DAILY_BARS, MINUTE_BARS
from stock_platform.domain.reference import SPLITS, SPLITS_KEY
from stock_platform.lake import tables, write
from stock_platform.lake.object_store import open_store
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.lake.object_store.s3 import S3ObjectStore
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.verify.certificate import Certificate
from stock_platform.pipelines.verify.verifier import Verifier
from stock_platform.settings import LakeSettings
from stock_platform_tests.domain.examples import bars_of
from stock_platform_tests.pipelines.settled import (
    HALF_DAY,
    LATER,
    SESSION,
    context_of,
    enrich,
    settle,
    verify,
)


def test_a_copy_has_the_same_certificate(
    on_disk: LakeContext, s3_settings: LakeSettings, tmp_path: Path
) -> None:
    settle(on_disk)
    enrich(on_disk)
    known = verify(on_disk, by_symbol=True).to_json()
    shutil.copytree(on_disk.store.root, tmp_path / "copy")
    bucket = open_store(s3_settings)
    for meta in on_disk.store.list(""):
        bucket.put_if_absent(meta.path, Path(on_disk.store.uri(meta.path)).read_bytes())
    # A plain copy takes hidden folders along.
    assert isinstance(bucket, S3ObjectStore)
    bucket.objects.put(".locks/0a", b"")

    for copy in (FileStore.open(tmp_path / "copy"), bucket):
        verifier = Verifier(context=context_of(copy), by_symbol=True)
        verifier.list_lake()
        assert verifier.verify(SESSION).to_json() == known
        assert verifier.verify_rest() == []
    assert json.dumps(json.loads(known), sort_keys=True, separators=(",", ":")) == known
    assert str(tmp_path) not in known
    assert json.loads(known)["quarantined"] == 2


def test_another_compression_leaves_every_digest(on_disk: LakeContext) -> None:
    settle(on_disk)
    known = verify(on_disk)
    file = Path(on_disk.store.uri(tables.data("minute_bars", SESSION)))
    out = BytesIO()
    notes = {"stocks.schema_version": "1", "stocks.table": "minute_bars"}
    pl.read_parquet(file, hive_partitioning=False).write_parquet(
        out, compression="gzip", row_group_size=50, metadata=notes
    )
    file.write_bytes(out.getvalue())
    held = verify(on_disk)

    assert (held.ok, held.digests) == (True, known.digests)
    assert held.without_checksum == known.without_checksum + 1


def test_what_a_certificate_speaks_of_changes_its_digest(on_disk: LakeContext) -> None:
    settle(on_disk)
    enrich(on_disk)
    grid, known = on_disk.calendar.grid(SESSION), verify(on_disk)
    bar = bars_of([("MSFT", 0)], grid).with_columns(volume=pl.lit(5), observed_at=pl.lit(LATER))
    write.publish_minute_bars(on_disk.store, SESSION, bar.cast(MINUTE_BARS))
    bars = verify(on_disk)
    day = bars_of([("MSFT", 0)], grid).with_columns(
        session=pl.lit(SESSION), observed_at=pl.lit(LATER), close=pl.lit(12)
    )
    write.publish_daily_bars(on_disk.store, day.select(list(DAILY_BARS)).cast(DAILY_BARS))
    days = verify(on_disk)
    split = pl.DataFrame([("MSFT", HALF_DAY, 1.0, 2.0, "m", LATER)], schema=SPLITS, orient="row")
    write.publish_table(on_disk.store, "splits", None, split, key=SPLITS_KEY)
    splits = verify(on_disk)

    assert changed_digests(known, bars) == {"minute_bars", "minute_bars_history"}
    assert changed_digests(bars, days) == {"daily_bars"}
    assert changed_digests(days, splits) == {"splits"}
    assert len({held.digest for held in (known, bars, days, splits)}) == 4


def changed_digests(one: Certificate, other: Certificate) -> set[str]:
    return {name for name, digest in one.digests.items() if other.digests[name] != digest}


def test_what_concerns_other_sessions_and_symbols_leaves_a_certificate(
    on_disk: LakeContext,
) -> None:
    settle(on_disk)
    enrich(on_disk)
    known = verify(on_disk).digests
    settle(on_disk, HALF_DAY)
    split = pl.DataFrame([("ZZZ", HALF_DAY, 1.0, 3.0, "m", LATER)], schema=SPLITS, orient="row")
    write.publish_table(on_disk.store, "splits", None, split, key=SPLITS_KEY)

    assert verify(on_disk).digests == known


def test_verifying_writes_nothing(on_disk: LakeContext) -> None:
    settle(on_disk)
    enrich(on_disk)
    folder = Path(on_disk.store.root)
    shutil.rmtree(folder / ".locks")
    shutil.rmtree(folder / ".unfinished")
    before = tree(folder)
    context = context_of(FileStore.open(folder, create=False))
    verifier = Verifier(context=context)
    verifier.list_lake()

    assert verifier.verify(SESSION).ok
    assert verifier.verify_rest() == []
    assert tree(folder) == before


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }
