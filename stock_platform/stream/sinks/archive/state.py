"""The archive's checkpoint: every object not yet complete, and its parts on local disk."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

MINUTE_MS = 60_000


class Part(msgspec.Struct):
    """A cut part; its file stays until the object is complete."""

    number: int
    bytes: int
    etag: str = ""
    """Set once it is uploaded."""


class ArchiveObject(msgspec.Struct):
    """One object of the archive on its way to the store."""

    channel: str
    window: int
    """Start of the window in minutes since the epoch."""
    seq: int
    first_offset: int
    """Journal offset of its first record: with the journal's id, its origin in the store."""
    parts: list[Part] = msgspec.field(default_factory=list)
    open_bytes: int = 0
    """Bytes of the part still growing, numbered len(parts) + 1."""
    sealed: int = 0
    """The generation in which it was closed; 0 while it grows."""
    upload_id: str = ""
    marked: bool = False

    @property
    def total_bytes(self) -> int:
        return sum(part.bytes for part in self.parts) + self.open_bytes

    def part_path(self, spool: Path, number: int) -> Path:
        # The first offset names the files: the seq changes when its key exists already.
        name = f"{self.channel}-{self.window}-{self.first_offset}-{number:05d}.part"
        return spool / name


class ArchiveState(msgspec.Struct):
    """The archive's checkpoint."""

    journal: str
    generation: int = 0
    window: int = 0
    objects: list[ArchiveObject] = msgspec.field(default_factory=list)
    next_seq: dict[str, int] = msgspec.field(default_factory=dict)
    """By `channel/window`; only of windows that may still get objects."""

    def next_sequence(self, channel: str, window: int) -> int:
        key = f"{channel}/{window}"
        seq = self.next_seq.get(key, 1)
        self.next_seq[key] = seq + 1
        return seq


class Naming(msgspec.Struct, frozen=True):
    """Where objects lie: the S3 contract."""

    prefix: str
    hostname: str
    window_minutes: int
    suffix: str = ".ndjson"

    def window_of(self, received_at_ms: int) -> int:
        minutes = received_at_ms // MINUTE_MS
        return minutes - minutes % self.window_minutes

    def folder(self, channel: str, window: int) -> str:
        start = datetime.fromtimestamp(window * 60, UTC)
        end = datetime.fromtimestamp((window + self.window_minutes) * 60, UTC)
        prefix = f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""
        return (
            f"{prefix}channel={channel}/ingest_dt={start:%Y/%m/%d}/hour={start:%H}/"
            f"part={start:%Y%m%d_%H%M}-{end:%Y%m%d_%H%M}"
        )

    def key(self, obj: ArchiveObject) -> str:
        folder = self.folder(obj.channel, obj.window)
        return f"{folder}/{self.hostname}-seq={obj.seq:06d}{self.suffix}"

    def marker(self, obj: ArchiveObject) -> str:
        return f"{self.folder(obj.channel, obj.window)}/uploading.marker"
