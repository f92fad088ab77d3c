"""What is certified of one session, as values and as canonical JSON.

A certificate holds nothing of the run that made it: no time, no place, no machine. So a
second run on a copy of the lake gives the same bytes, and any changed row others.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from stock_platform.domain.coverage import COUNTS
from stock_platform.lake.inspection import Defect

FORMAT = 1
"""Raised by a change after which an unchanged lake has another certificate."""

_PRESUMED = {"silent": "presumed"}
"""States of coverage whose name in a certificate is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyEvidence:
    """Minutes proven empty by the responses of one provider at one revision."""

    provider: str
    revision: str
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordComparison:
    """A session's bars beside what a provider's record holds now, in bars."""

    provider: str
    equal: int
    changed: int
    absent: int
    """The record has them, the lake does not."""
    extra: int
    """The lake has them, the record does not."""
    unanswered: tuple[str, ...]
    """Symbols without a usable response."""
    differing: tuple[tuple[str, int, int, int], ...]
    """(symbol, changed, absent, extra) of every symbol that differs."""

    @property
    def same(self) -> bool:
        """Whether the record was had and holds exactly the lake's bars."""
        return not (self.differing or self.unanswered)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as values of JSON."""
        names = ("symbol", "changed", "absent", "extra")
        rows = [dict(zip(names, row, strict=True)) for row in self.differing]
        return {**asdict(self), "unanswered": list(self.unanswered), "differing": rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What one session holds, on which evidence, and everything found wrong with it.

    It names no time, place or machine of the run. `ok` is whether nothing is wrong, `complete`
    whether besides every minute is accounted for, `to_json()` the canonical text, `digest` its
    SHA-256.

        certificate = lake.verify("2026-11-20")
        print(certificate.ok, certificate.counts, certificate.digests["minute_bars"])
    """

    session: date
    grid: dict[str, Any]
    """The digest of the session's minutes and their number."""
    universe: dict[str, Any]
    """The digest of the expected symbols and minutes, and the number of symbols."""
    counts: dict[str, int] | None
    """Symbol-minutes in each state, recomputed; None where the evidence cannot be read."""
    empty_evidence: tuple[EmptyEvidence, ...]
    stored_coverage: str
    """equal, different, outdated, absent, unreadable, or unchecked without evidence."""
    quarantined: int
    """Rejected rows about the session."""
    digests: dict[str, str | None]
    """Digests of rows, whatever their compression; None where they cannot be read."""
    objects: int
    without_checksum: int
    """Of the objects, those of earlier releases: only their rows could be checked."""
    settings: dict[str, Any]
    defects: tuple[Defect, ...]
    symbols: dict[str, dict[str, int]] | None = None
    record: RecordComparison | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong; minutes that are known to be missing are not."""
        return not self.defects and (self.record is None or self.record.same)

    @property
    def complete(self) -> bool:
        """Whether it is ok and every expected minute is accounted for."""
        return self.ok and self.counts is not None and self.counts["missing"] == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as values of JSON, the states of coverage at the top."""
        found = [asdict(defect) for defect in self.defects]
        extra = {
            **({} if self.symbols is None else {"symbols": _by_symbol(self.symbols)}),
            **({} if self.record is None else {"record": self.record.to_dict()}),
        }
        return {
            "format": FORMAT,
            "session": self.session.isoformat(),
            "ok": self.ok,
            "complete": self.complete,
            "grid": self.grid,
            "universe": self.universe,
            **_states(self.counts or dict.fromkeys(COUNTS)),
            "empty_evidence": [asdict(evidence) for evidence in self.empty_evidence],
            "stored_coverage": self.stored_coverage,
            "quarantined": self.quarantined,
            "digests": self.digests,
            "objects": self.objects,
            "objects_without_checksum": self.without_checksum,
            "settings": self.settings,
            "defects": found,
            **extra,
        }

    def to_json(self) -> str:
        """Return the canonical text: keys sorted, one line, ASCII.

        Path("2026-11-20.json").write_text(certificate.to_json())
        """
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical text: equal on two lakes that hold the same.

        print(certificate.digest[:12])
        """
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _states(counts: Mapping[str, int | None]) -> dict[str, int | None]:
    return {_PRESUMED.get(name, name): count for name, count in counts.items()}


def _by_symbol(symbols: dict[str, dict[str, int]]) -> dict[str, dict[str, int | None]]:
    return {symbol: _states(counts) for symbol, counts in symbols.items()}
