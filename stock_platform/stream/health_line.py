"""The log line that says every half minute how the sidecar is.

The processes count from their own start; a restart must neither make a rate
negative nor hide what was dropped before it, so the sums are kept here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stock_platform.stream.health import Facts


@dataclass(slots=True)
class _Sum:
    """A counter over the restarts of the process that counts."""

    total: float = 0.0
    last: float = 0.0

    def take(self, counted: float) -> float:
        """Return what was added since the last time; a lower count began again at zero."""
        added = counted - self.last if counted >= self.last else counted
        self.last = counted
        self.total += added
        return added


@dataclass
class HealthLine:
    """Makes the line; `since` is the monotonic time from which the first rates count."""

    consumers: tuple[str, ...]
    since: float
    _sums: dict[str, _Sum] = field(default_factory=dict)

    def of(self, facts: Mapping[str, Facts], now: float) -> dict[str, object]:
        """Return the line's facts: rates since the last line, sums since the start, lags now."""
        span, self.since = max(now - self.since, 0.001), now
        reader, latest = facts.get("reader", {}), facts.get("latest", {})
        feeds: Mapping[str, Facts] = reader.get("feeds", {})
        frames = sum(self._added(f"{n} frames", feed["frames"]) for n, feed in feeds.items())
        size = sum(self._added(f"{n} bytes", feed["bytes"]) for n, feed in feeds.items())
        self._added("refused", reader.get("journal_refused", 0))
        self._added("segments", reader.get("journal_segments_dropped", 0))
        for name, feed in feeds.items():
            self._added(f"{name} reconnects", feed["reconnects"])
        return {
            "events_per_s": round(self._added("events", latest.get("events", 0)) / span, 1),
            "frames_per_s": round(frames / span, 1),
            "bytes_per_s": round(size / span),
            "bytes": sum(self._total(f"{name} bytes") for name in feeds),
            "reconnects": {name: self._total(f"{name} reconnects") for name in feeds},
            "journal_bytes": reader.get("journal_bytes", 0),
            "drops": self._total("refused") + self._total("segments"),
            "lag_bytes": {name: facts.get(name, {}).get("lag_bytes") for name in self.consumers},
            "skipped_bytes": {
                name: skipped
                for name in self.consumers
                if (skipped := facts.get(name, {}).get("skipped_bytes"))
            },
        }

    def _added(self, name: str, counted: float) -> float:
        return self._sums.setdefault(name, _Sum()).take(counted)

    def _total(self, name: str) -> int:
        return round(self._sums.setdefault(name, _Sum()).total)
