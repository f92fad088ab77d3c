"""Bring the tables of securities and their symbols to what snapshots and providers tell.

Everything is derived anew from the snapshots, so that a corrected one corrects everything.
Details and changes of symbols are requested for new and changed securities alone, newest
first and a bounded number at a time: a list of 8,000 is no reason for 16,000 requests.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import structlog

from stock_platform.domain.reference import (
    SECURITIES,
    SECURITIES_KEY,
    SYMBOL_CHANGES,
    SYMBOL_CHANGES_KEY,
    SYMBOL_SPANS_KEY,
)
from stock_platform.errors import NotEntitledError, PlatformError, TransientError
from stock_platform.lake import read, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.write import Published
from stock_platform.pipelines.universe.expected import of_securities
from stock_platform.pipelines.universe.listings import Identity, Listing, listings_of
from stock_platform.pipelines.universe.spans import Evidence, spans_of, symbols_in_question
from stock_platform.providers.sources import SecurityDetails, SecuritySource
from stock_platform.settings import MarketSettings

SECURITIES_MAX = 50
"""Securities whose details and changes one call requests; the next call goes on."""
AGAIN_AFTER = timedelta(days=7)
"""A change may come days late: a new security is requested once more after this."""
_READERS = 8
_AT_ONCE = 32
_log = structlog.get_logger(__name__)


def update_securities(
    store: ObjectStore, market: MarketSettings, source: object, today: date
) -> Published:
    """Derive `securities` and `symbol_spans` from all snapshots; return the spans' publication.

    A `source` that is a `SecuritySource` is requested for at most `SECURITIES_MAX` securities that
    are new or changed: those of the watchlist, or those that began within the snapshots. What
    it refuses or fails is left for the next call.
    """
    snapshots = sorted(read.sessions_present(store, "reference_symbols"))
    listings = listings_of(_read_snapshots(store, snapshots))
    traded = _traded(store, symbols_in_question(listings))
    securities = _securities(listings, read.table(store, "securities", None))

    def derived() -> pl.DataFrame:
        changes = read.table(store, "symbol_changes", None)
        return spans_of(listings, _evidence(snapshots, securities, changes, traded))

    if isinstance(source, SecuritySource):
        wanted = {each.security for each in listings if each.absent_before is not None}
        left: dict[str, date] = {}
        if market.symbols is not None:
            wanted = set(of_securities(derived(), frozenset(market.symbols))["security"])
            # The lists of a watchlist are sparse: when somebody left them is dated by details.
            left = {each.security: each.absent_after for each in listings if each.absent_after}
        facts = _request(source, _due(securities, wanted, left, today), today)
        securities = securities.update(facts.securities(), on="security", include_nulls=True)
        changes = facts.symbol_changes()
        write.publish_table(store, "symbol_changes", None, changes, key=SYMBOL_CHANGES_KEY)
    write.publish_table(store, "securities", None, securities, key=SECURITIES_KEY, mode="replace")
    spans = derived()
    return write.update_table(store, "symbol_spans", None, lambda _: spans, key=SYMBOL_SPANS_KEY)


def _read_snapshots(
    store: ObjectStore, days: Sequence[date]
) -> Iterator[tuple[date, pl.DataFrame]]:
    with ThreadPoolExecutor(_READERS) as readers:
        # A few at a time: a year of the whole market is a gigabyte.
        for start in range(0, len(days), _AT_ONCE):
            some = days[start : start + _AT_ONCE]
            found = readers.map(lambda day: read.table(store, "reference_symbols", day), some)
            yield from zip(some, found, strict=True)


def _securities(listings: Sequence[Listing], before: pl.DataFrame) -> pl.DataFrame:
    """Return a row per security as its newest listing has it, with what was requested before."""
    newest: dict[str, Listing] = {}
    for listing in sorted(listings, key=lambda each: (each.last_seen, each.first_seen)):
        newest[listing.security] = listing
    rows = [
        {
            "security": security,
            "symbol": listing.symbol,
            "figi": listing.identity.figi,
            "share_class_figi": listing.identity.share_class,
            **{name: listing.attributes.get(name) for name in ("cik", "name", "type", "provider")},
            "first_seen_on": listing.first_seen,
        }
        for security, listing in newest.items()
    ]
    kept = ["listed_on", "delisted_on", "requested_on", "requested_symbol"]
    schema = pl.Schema((name, kind) for name, kind in SECURITIES.items() if name not in kept)
    frame = pl.DataFrame(rows, schema=schema).join(
        before.select("security", *kept), on="security", how="left"
    )
    return frame.select(list(SECURITIES)).sort("security")


def _due(
    securities: pl.DataFrame, wanted: set[str], left: Mapping[str, date], today: date
) -> list[dict[str, Any]]:
    """Return the `wanted` securities that are new, changed, gone or due once more."""
    again = pl.col("first_seen_on") + AGAIN_AFTER
    requested = pl.col("requested_on")
    due = (
        requested.is_null()
        | (pl.col("requested_symbol") != pl.col("symbol"))
        | ((requested < again) & (again <= today))
        | (requested < pl.col("security").replace_strict(left, default=None, return_dtype=pl.Date))
    )
    rows = securities.filter(pl.col("security").is_in(sorted(wanted)) & due)
    ordered = rows.sort("first_seen_on", "security", descending=[True, False])
    return ordered.head(SECURITIES_MAX).to_dicts()


@dataclass(slots=True)
class _Facts:
    """What a source responded in one call: rows of securities and of changes."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    changes: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])

    def securities(self) -> pl.DataFrame:
        names = ("security", "listed_on", "delisted_on", "requested_on", "requested_symbol")
        return pl.DataFrame(self.rows, schema=pl.Schema((name, SECURITIES[name]) for name in names))

    def symbol_changes(self) -> pl.DataFrame:
        empty = pl.DataFrame(schema=SYMBOL_CHANGES)
        return pl.concat([empty, *self.changes], how="vertical_relaxed").cast(SYMBOL_CHANGES)


def _request(source: SecuritySource, rows: list[dict[str, Any]], today: date) -> _Facts:
    facts = _Facts()
    for row in rows:
        try:
            details = source.security(row["symbol"], today)
            changes = source.symbol_changes(row["figi"] or row["symbol"])
        except (NotEntitledError, TransientError) as error:
            _log.warning("securities_not_requested", provider=source.name, error=str(error))
            break
        except PlatformError as error:
            _log.warning("security_request_failed", symbol=row["symbol"], error=str(error))
            details, changes = None, None
        ours = details if details and _is_of(details, row) else None
        facts.rows.append(
            {
                "security": row["security"],
                "listed_on": ours.listed_on if ours else row["listed_on"],
                "delisted_on": ours.delisted_on if ours else row["delisted_on"],
                "requested_on": today,
                "requested_symbol": row["symbol"],
            }
        )
        if changes is not None and changes.height:
            facts.changes.append(
                changes.select(
                    pl.lit(row["security"]).alias("security"),
                    "symbol",
                    "changed_on",
                    pl.lit(source.name).alias("provider"),
                    pl.lit(datetime.now(UTC)).alias("observed_at"),
                )
            )
    return facts


def _is_of(details: SecurityDetails, row: Mapping[str, Any]) -> bool:
    """Return whether details are of a row's security, not of who has its symbol otherwise."""
    known = Identity(row["figi"], row["share_class_figi"])
    return known.may_be(Identity(details.figi, details.share_class_figi))


def _evidence(
    snapshots: Sequence[date],
    securities: pl.DataFrame,
    changes: pl.DataFrame,
    traded: Mapping[str, Sequence[date]],
) -> Evidence:
    by_security: dict[str, list[tuple[date, str]]] = {}
    for security, symbol, day in (
        changes.sort("security", "changed_on", "symbol")
        .select("security", "symbol", "changed_on")
        .iter_rows()
    ):
        by_security.setdefault(security, []).append((day, symbol))
    return Evidence(
        snapshots=snapshots,
        changes=by_security,
        listed_on=_dates(securities, "listed_on"),
        delisted_on=_dates(securities, "delisted_on"),
        traded=traded,
    )


def _dates(securities: pl.DataFrame, name: str) -> dict[str, date]:
    rows = securities.filter(pl.col(name).is_not_null())
    return dict(rows.select("security", name).iter_rows())


def _traded(store: ObjectStore, symbols: set[str]) -> dict[str, list[date]]:
    """Return the sessions of the daily bars of `symbols`, rising."""
    wanted = pl.Series("symbol", sorted(symbols), dtype=pl.String).implode()
    found: dict[str, list[date]] = {}
    for year in read.years_present(store, "daily_bars"):
        rows = read.daily_bars(store, year, year).filter(pl.col("symbol").is_in(wanted))
        for symbol, session in rows.select("symbol", "session").iter_rows():
            found.setdefault(symbol, []).append(session)
    return found
