"""What is known of every expected minute, as frames: one truth for the command line and the API.

Both functions derive from the same `SessionCoverage`, so that they agree, also on a
session that was never ingested: then every minute that has closed is missing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches

import numpy as np
import polars as pl

from stock_platform.domain.bars import TIMESTAMP_US
from stock_platform.domain.coverage import COUNTS, COVERAGE, SessionCoverage, runs
from stock_platform.errors import PermanentError
from stock_platform.lake import read
from stock_platform.lake.object_store import ObjectStore
from stock_platform.pipelines.context import LakeContext

SESSION_COVERAGE = pl.Schema(
    {"symbol": pl.String(), "session": pl.Date(), **{name: pl.Int64() for name in COUNTS}}
)
"""One row per expected symbol: how many of its minutes that have closed are in each state;
`refused` ones are also counted in `missing`, `healed` ones in `observed`."""

MISSING_RANGES = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),
        "first": TIMESTAMP_US,
        "last": TIMESTAMP_US,
        "minutes": pl.Int64(),
    }
)
"""One row per run of missing minutes of a symbol: the starts of the first and the last one (UTC),
and how many they are."""


SESSIONS_COMPARED = 5
"""Sessions in which a watched symbol needs a bar, where no reference data lists it."""
_SEEN = pl.Schema({name: COVERAGE[name] for name in ("symbol", "observed", "verified_at")})


@dataclass(frozen=True, slots=True)
class CoverageAt:
    """A session's coverage as of one instant: minutes from slot `end` on have not closed."""

    coverage: SessionCoverage
    end: int

    def counts(self) -> pl.DataFrame:
        """Return a frame of `SESSION_COVERAGE`, by symbol."""
        symbols = pl.Series("symbol", self.coverage.symbols.tolist(), dtype=pl.String)
        session = pl.lit(self.coverage.session, dtype=pl.Date)
        counts = pl.DataFrame({"symbol": symbols, **self.coverage.counts(self.end)})
        return counts.with_columns(session.alias("session")).select(
            pl.col(name).cast(dtype) for name, dtype in SESSION_COVERAGE.items()
        )

    def missing_ranges(self) -> pl.DataFrame:
        """Return a frame of `MISSING_RANGES`, by symbol and time."""
        rows, first, last = runs(self.coverage.missing(self.end))
        start = self.coverage.grid.starts_at
        slots = pl.DataFrame(
            {
                "symbol": pl.Series(self.coverage.symbols[rows].tolist(), dtype=pl.String),
                "first": first.astype(np.int64),
                "last": last.astype(np.int64),
            }
        )
        instant = pl.lit(start, dtype=TIMESTAMP_US)
        return slots.select(
            "symbol",
            pl.lit(self.coverage.session, dtype=pl.Date).alias("session"),
            (instant + pl.duration(minutes=pl.col("first"))).alias("first"),
            (instant + pl.duration(minutes=pl.col("last"))).alias("last"),
            (pl.col("last") - pl.col("first") + 1).alias("minutes"),
        ).cast(MISSING_RANGES)


def session_coverage(
    context: LakeContext, session: date, *, now: datetime | None = None
) -> pl.DataFrame:
    """Return a frame of `SESSION_COVERAGE`: what is known of each expected symbol's minutes.

    Minutes count once they closed the grace time before `now` (default: now). Raise
    `PermanentError` for a day the lake should hold nothing of:

        session_coverage(LakeContext.from_env(), date(2026, 11, 20))
    """
    at = now or datetime.now(UTC)
    known = known_sessions(context, at)
    if session not in known:
        raise PermanentError(_not_expected(f"{session} is not a session", known))
    return coverage_at(context, session, at).counts()


def missing_ranges(
    context: LakeContext, first: date, last: date, *, now: datetime | None = None
) -> pl.DataFrame:
    """Return a frame of `MISSING_RANGES` over the sessions `first` to `last`, both included.

    The minutes of each symbol and session add up to `missing` of `session_coverage`. Days in
    between that the lake should hold nothing of have no row; raise `PermanentError` when all
    of them are such:

        missing_ranges(LakeContext.from_env(), date(2026, 11, 16), date(2026, 11, 20))
    """
    at = now or datetime.now(UTC)
    known = known_sessions(context, at)
    sessions = [session for session in known if first <= session <= last]
    if not sessions:
        raise PermanentError(_not_expected(f"no session from {first} to {last} is one", known))
    found = [coverage_at(context, session, at).missing_ranges() for session in sessions]
    return pl.concat([pl.DataFrame(schema=MISSING_RANGES), *found])


def _not_expected(what: str, known: list[date]) -> str:
    span = f"{known[0]} to {known[-1]}" if known else "none yet"
    return f"{what} the lake should hold ({span}; see STOCKS_FIRST_SESSION)"


def coverage_at(context: LakeContext, session: date, now: datetime) -> CoverageAt:
    """Load or derive the coverage of a session of the exchange as of `now`."""
    grid = context.calendar.grid(session)
    return CoverageAt(context.coverage(grid), grid.closed_slots(now, context.grace_s))


def known_sessions(context: LakeContext, now: datetime) -> list[date]:
    """Return the sessions the lake should hold as of `now` and those it has coverage of."""
    kept = read.sessions_present(context.store, "coverage")
    days = sorted({*context.sessions(now), *kept})
    return [day for day in days if context.calendar.is_session(day)]


def unlisted_symbols(lake_context: LakeContext) -> list[str]:
    """Return a line for every symbol of the watchlist that nobody lists.

    Each names the nearest listed spelling: `BRK.B` for `BRK-B`, upper case, a typo. Without
    reference data a symbol counts that has no bar in any of the newest verified sessions.
    Empty for the whole market, and before there is anything to compare with.
    """
    watched = lake_context.market.symbols
    if watched is None:
        return []
    listed = _ever_listed(lake_context.store)
    if listed:
        return [_unlisted(symbol, listed) for symbol in sorted(set(watched) - listed)]
    seen, verified = _seen_lately(lake_context.store)
    return [_unseen(symbol, seen) for symbol in sorted(verified & set(watched) - seen)]


def nearest_symbol(symbol: str, known: Iterable[str]) -> str | None:
    """Return the symbol of `known` that is spelt most like `symbol`: `AAPL` for `aapl`."""
    spelt = {_spelling(name): name for name in sorted(known)}
    near = get_close_matches(_spelling(symbol), spelt, n=1, cutoff=0.5)
    return spelt[near[0]] if near else None


def _ever_listed(store: ObjectStore) -> set[str]:
    days = read.sessions_present(store, "reference_symbols")
    tables = [read.table(store, "reference_symbols", day) for day in {*_ends(days)}]
    # Who was listed in between alone is in the spans.
    tables.append(read.table(store, "symbol_spans", None))
    return {symbol for table in tables for symbol in table["symbol"]}


def _ends(days: set[date]) -> list[date]:
    return [min(days), max(days)] if days else []


def _seen_lately(store: ObjectStore) -> tuple[set[str], set[str]]:
    """Return the symbols with a bar in one of the newest sessions, and those verified there."""
    days = sorted(read.sessions_present(store, "coverage"))[-SESSIONS_COMPARED:]
    rows = pl.concat(
        [
            pl.DataFrame(schema=_SEEN),
            *(read.table(store, "coverage", day).select(list(_SEEN)) for day in days),
        ]
    )
    seen = rows.filter(pl.col("observed") > 0)["symbol"]
    return set(seen), set(rows.filter(pl.col("verified_at").is_not_null())["symbol"])


def _unlisted(symbol: str, listed: set[str]) -> str:
    near = nearest_symbol(symbol, listed)
    hint = f"; did you mean {near}?" if near else ""
    return f"{symbol} (STOCKS_SYMBOLS) is not among the listed symbols{hint}"


def _unseen(symbol: str, seen: set[str]) -> str:
    near = get_close_matches(symbol, sorted(seen), n=1, cutoff=0.7)
    usual = re.sub(r"[-/_]", ".", symbol.upper())
    meant = near[0] if near else usual if usual != symbol else ""
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{symbol} (STOCKS_SYMBOLS) has no bar in the sessions verified last{hint}"


def _spelling(symbol: str) -> str:
    return "".join(letter for letter in symbol.upper() if letter.isalnum())
