"""Every event in the archive exactly once, whatever dies in between."""

import json
import time
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.stream.journal import checkpoints as offsets
from stock_platform.stream.journal.consumer import JournalConsumer
from stock_platform.stream.journal.reader import JournalReader
from stock_platform.stream.journal.writer import JournalWriter
from stock_platform.stream.sinks.archive.lines import Lines, without_ingest_time
from stock_platform.stream.sinks.archive.sink import ArchiveOptions, ArchiveSink
from stock_platform.stream.sinks.archive.state import ArchiveObject, Naming, Part
from stock_platform.stream.sinks.archive.store import ArchiveStore, StoreOptions
from stock_platform_tests.stream.servers import Bucket, wait_until

NOON = 1_795_276_800_000_000  # 2026-11-21 16:00 UTC, in microseconds
FIVE_MIB = 5 * 1024 * 1024


def options(folder: Path, s3: Bucket, **changes: object) -> ArchiveOptions:
    usual: dict[str, object] = {
        "journal": folder,
        "store": StoreOptions(s3.name, "us-east-1", s3.url),
        "naming": Naming("cold", "host1", 30),
        "part_bytes": FIVE_MIB,
        "object_bytes_max": 512_000_000,
    }
    return ArchiveOptions(**{**usual, **changes})  # type: ignore[arg-type]


def trade(number: int, pad: int = 0) -> bytes:
    return b'[{"ev":"T","sym":"S%d","t":1795276800000,"q":%d,"pad":"%s"}]' % (
        number % 50,
        number,
        b"x" * pad,
    )


def run_to_end(archive: ArchiveSink, folder: Path) -> None:
    consumer = JournalConsumer(folder, archive)
    consumer.stop()
    consumer.run(lambda: True)
    archive.close()


def sequence_numbers(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["q"] for line in lines]


def test_events_lie_byte_for_byte_under_the_agreed_names(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    quote = b'{"ev":"Q", "sym":"BRK.B","bp":1.50,"t":1,"new":[{"ev":"T"}]}'
    bar = b'{"sym":"MSFT","s":1795276740000,"ev":"AM"}'
    journal.append_frames(0, 1, [b"[" + quote + b"," + bar + b"]"], NOON)

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    name = "ingest_dt=2026/11/21/hour=16/part=20261121_1600-20261121_1630/host1-seq=000001.ndjson"
    assert s3.names() == [f"cold/channel=AM/{name}", f"cold/channel=Q/{name}"]
    assert s3.read(f"cold/channel=Q/{name}") == quote[:-1] + b',"ingestTs":1795276800000}\n'
    assert s3.read(f"cold/channel=AM/{name}") == bar[:-1] + b',"ingestTs":1795276800000}\n'


def test_a_new_window_is_a_new_object(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [trade(1)], NOON)
    journal.append_frames(0, 1, [trade(2)], NOON + 30 * 60 * 1_000_000)

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    assert [key.split("/")[-2] for key in s3.names()] == [
        "part=20261121_1600-20261121_1630",
        "part=20261121_1630-20261121_1700",
    ]


def test_large_objects_go_up_in_parts_and_turn_over_at_their_bound(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    for number in range(300):
        journal.append_frames(0, 1, [trade(number, pad=60_000)], NOON + number)

    archive = ArchiveSink(options(folder, s3, object_bytes_max=12_000_000), store)
    run_to_end(archive, folder)

    assert [key[-10:] for key in s3.names()] == ["001.ndjson", "002.ndjson"]
    assert sorted(sequence_numbers(s3.lines())) == list(range(300))
    assert list((folder / "spool").iterdir()) == []


def test_a_marker_lies_beside_an_open_object_and_goes_with_it(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [trade(1)], NOON)
    archive = ArchiveSink(options(folder, s3), store)
    archive.add(JournalReader(folder).read())
    archive.flush()
    archive.close()
    during = s3.names()

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    assert [key.rsplit("/")[-1] for key in during] == ["uploading.marker"]
    assert [key.rsplit("/")[-1] for key in s3.names()] == ["host1-seq=000001.ndjson"]


def test_without_the_setting_there_is_no_marker(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [trade(1)], NOON)
    archive = ArchiveSink(options(folder, s3, use_marker=False), store)
    archive.add(JournalReader(folder).read())
    archive.flush()
    archive.close()
    during = s3.names()

    run_to_end(ArchiveSink(options(folder, s3, use_marker=False), store), folder)

    assert during == []
    assert [key.rsplit("/")[-1] for key in s3.names()] == ["host1-seq=000001.ndjson"]


@pytest.mark.parametrize("checkpoints", [0, 1, 2, 3])
def test_a_crash_before_or_after_any_checkpoint_repeats_nothing(
    checkpoints: int, journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    """The archive is abandoned in mid-work, as by kill -9, and another one goes on."""
    tail = JournalReader(folder)
    archive = ArchiveSink(options(folder, s3), store)
    for number in range(4):
        journal.append_frames(0, 1, [trade(number)], NOON + number)
        archive.add(tail.read())
        if number < checkpoints:
            checkpoint = archive.checkpoint(tail.offset)
            assert checkpoint
            offsets.save(folder, archive.name, checkpoint)
    archive.close()

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    assert sequence_numbers(s3.lines()) == [0, 1, 2, 3]


def test_an_object_completed_but_not_remembered_is_recognised(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [trade(1)], NOON)
    archive = ArchiveSink(options(folder, s3), store)
    tail = JournalReader(folder)
    archive.add(tail.read())
    archive.drain()
    sealed = archive.checkpoint(tail.offset)
    assert sealed
    offsets.save(folder, archive.name, sealed)
    archive.on_checkpoint_saved(sealed)
    archive.flush()
    wait_until(s3.lines)
    archive.close()

    again = ArchiveSink(options(folder, s3), store)
    run_to_end(again, folder)

    assert sequence_numbers(s3.lines()) == [1]
    assert len(s3.names()) == 1
    assert again.status()["objects_completed"] == 1


def test_no_object_is_made_before_its_sealing_is_saved(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    """A crash in between would seal it elsewhere: other bytes under the same name."""
    journal.append_frames(0, 1, [trade(1)], NOON)
    archive = ArchiveSink(options(folder, s3), store)
    tail = JournalReader(folder)
    archive.add(tail.read())
    archive.drain()
    wait_until(lambda: archive.flush() or s3.names())
    for _ in range(10):
        archive.flush()
        time.sleep(0.05)
    before = s3.lines()

    sealed = archive.checkpoint(tail.offset)
    assert sealed
    archive.on_checkpoint_saved(sealed)
    wait_until(lambda: archive.flush() or s3.lines())
    archive.close()

    assert before == []
    assert sequence_numbers(s3.lines()) == [1]


def test_a_name_held_by_another_archive_is_never_overwritten(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    """A container that lost its disk starts again under the same host name."""
    name = "ingest_dt=2026/11/21/hour=16/part=20261121_1600-20261121_1630/host1-seq=000001.ndjson"
    s3.client.put_object(Bucket=s3.name, Key=f"cold/channel=T/{name}", Body=b'{"q":7}\n')
    journal.append_frames(0, 1, [trade(1)], NOON)

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    assert sorted(sequence_numbers(s3.lines())) == [1, 7]


def test_an_upload_the_store_forgot_is_made_again(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    archive = ArchiveSink(options(folder, s3), store)
    tail = JournalReader(folder)
    # moto answers an upload_part it forgot with 500: end on a cut, so that only completing is left.
    for first in (0, 100):
        frames = [trade(first + number, pad=60_000) for number in range(100)]
        journal.append_frames(0, 1, frames, NOON)
        archive.add(tail.read())
    wait_until(lambda: archive.flush() or int(archive.status()["uploaded_bytes"]) > 2 * FIVE_MIB)  # type: ignore[call-overload]
    checkpoint = archive.checkpoint(tail.offset)
    archive.close()
    assert checkpoint
    offsets.save(folder, archive.name, checkpoint)
    [upload] = s3.client.list_multipart_uploads(Bucket=s3.name)["Uploads"]
    s3.client.abort_multipart_upload(Bucket=s3.name, Key=upload["Key"], UploadId=upload["UploadId"])

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    assert sorted(sequence_numbers(s3.lines())) == list(range(200))


def test_zstd_objects_are_read_back_by_their_suffix(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [trade(1)], NOON)
    journal.append_frames(0, 1, [trade(2)], NOON)
    naming = Naming("cold", "host1", 30, ".ndjson.zst")

    run_to_end(ArchiveSink(options(folder, s3, zstd=True, naming=naming), store), folder)

    [key] = s3.names()
    with zstandard.ZstdDecompressor().stream_reader(
        s3.read(key), read_across_frames=True
    ) as reader:
        assert sequence_numbers(reader.read().splitlines()) == [1, 2]
    assert key.endswith("host1-seq=000001.ndjson.zst")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
EVENTS = st.fixed_dictionaries(
    {"ev": st.sampled_from(["Q", "T", "AM", "FMV", "XX", "QQ", 'Q"x'])},
    optional={"sym": st.text(max_size=6), "x": JSON, "ingestTs": JSON},
)


@given(
    events=st.lists(EVENTS, max_size=6),
    order=st.randoms(),
    spaces=st.sampled_from([None, 1]),
    letters=st.sampled_from(["escaped", "plain"]),
)
def test_lines_hold_what_json_says_whatever_its_form(
    events: list[dict[str, object]], order: object, spaces: int | None, letters: str
) -> None:
    shuffled = []
    for event in events:
        items = list(event.items())
        order.shuffle(items)  # type: ignore[attr-defined]
        shuffled.append(dict(items))
    frame = json.dumps(shuffled, indent=spaces, ensure_ascii=letters == "escaped").encode()
    lines = Lines()

    lines.add([frame], 5)

    taken = lines.drain()
    found = [
        (channel, json.loads(without_ingest_time(line)))
        for channel, text in taken.items()
        for line in text.splitlines()
    ]
    expected = [(e["ev"] if e["ev"] in {"AM", "FMV", "T", "Q"} else "OTHER", e) for e in shuffled]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


@given(frame=st.binary(max_size=60))
def test_what_is_no_frame_is_kept_with_its_reason(frame: bytes) -> None:
    lines = Lines()

    lines.add([frame], 5)

    for text in lines.drain().values():
        for line in text.splitlines():
            msgspec.json.decode(line)


def test_invalid_utf8_is_kept_apart(
    journal: JournalWriter, folder: Path, s3: Bucket, store: ArchiveStore
) -> None:
    journal.append_frames(0, 1, [b'[{"ev":"Q","sym":"\xff"}]', trade(1)], NOON)

    run_to_end(ArchiveSink(options(folder, s3), store), folder)

    assert sequence_numbers(s3.lines("cold/channel=T")) == [1]
    [line] = s3.lines("cold/channel=REJECTED")
    assert json.loads(line)["record"] == '[{"ev":"Q","sym":"\\xff"}]'


def test_what_waits_for_the_store_is_bounded(folder: Path, s3: Bucket, store: ArchiveStore) -> None:
    archive = ArchiveSink(options(folder, s3), store)

    archive._state.objects.append(ArchiveObject("Q", 0, 1, 0, [Part(1, 2 << 30)]))

    assert archive.busy
    archive.close()
