"""The options of the reader process: plain values, so that it imports little."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """One host and the channels to subscribe there."""

    name: str
    url: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOptions:
    """Everything the reader process is given."""

    journal: Path
    feeds: tuple[FeedOptions, ...]
    api_key: str = field(repr=False)
    symbols: tuple[str, ...] | None
    subscribe_batch: int
    backoff: tuple[int, float, int]
    segment_bytes: int
    journal_bytes_max: int
    full_policy: str
    sync_s: float
    ping_s: float
    silence_s: float
    channel_silence_s: float
    frame_bytes_max: int
    engine: str = "picows"
    debug: bool = False
    consumers: tuple[str, ...] = ()
    """Whose checkpoints hold a segment back from being deleted."""
    hours: tuple[tuple[int, int], ...] = ()
    """Regular sessions as (open, close) in seconds since the epoch: when silence is odd."""
    handshake_s: float = 20.0
    """From the open socket to the last confirmed subscription; a long list takes seconds."""
    trust: str = ""
    """A further certificate authority, as a file; tests of TLS need one."""

    def market_open(self, now: float, margin_s: float) -> bool:
        """Return whether the market has been open for `margin_s` at `now` and still is."""
        return any(opens + margin_s < now < closes for opens, closes in self.hours)
