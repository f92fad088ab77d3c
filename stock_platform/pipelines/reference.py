"""Reference data: snapshots of the listed symbols, splits and dividends."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import pairwise

import polars as pl

from stock_platform.domain.bars import DAILY_BARS
from stock_platform.domain.reference import (
    CORPORATE_ACTIONS_KEY,
    DIVIDENDS,
    DIVIDENDS_KEY,
    SPLITS,
    SPLITS_KEY,
    SYMBOLS,
    SYMBOLS_ADDED,
    SYMBOLS_KEY,
)
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import InvalidDataError, PermanentError
from stock_platform.healing.action_register import (
    adjusting_dividends,
    adjusting_splits,
    judged,
    register_of,
    replace_span,
)
from stock_platform.lake import read, write
from stock_platform.lake.object_store import ObjectStore
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.universe.securities import update_securities
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import ReferenceSource

MARGIN = timedelta(days=400)
"""Corporate actions are fetched from this long before the first session, for adjustment."""

ACTIONS = "corporate_actions"
SNAPSHOTS_MAX = 100
"""Snapshots between others that one call takes; the next call goes on."""
SYMBOLS_FEW = 20
"""A list shorter than this may halve from one day to the next."""
REJUDGED_DAYS = 45
"""Bars this far from an action may change its verdict: twenty sessions and a holiday."""

NO_SOURCE = (
    "no provider of reference data is configured: set MASSIVE_API_KEY, or run "
    "`stocks simulate` and export what it prints"
)


def reference_source(providers: Providers) -> ReferenceSource:
    """Return the preferred source of reference data; raise `PermanentError` without any."""
    if not providers.reference:
        raise PermanentError(NO_SOURCE)
    return providers.reference[0]


def take_snapshots(
    lake_context: LakeContext, source: ReferenceSource, days: list[date]
) -> list[Published]:
    """Keep the symbols listed on each of `days` (rising); all but the last are taken only once.

    For the whole market, sessions between two snapshots that differ are taken too, halving
    until neighbours agree, at most `SNAPSHOTS_MAX` in one call: a symbol that was listed,
    renamed or delisted in between is expected from its own session on. `securities` and
    `symbol_spans` follow; see `update_securities`. Raises
    `InvalidDataError` for a list that lacks half of the symbols of its neighbour.
    """
    known = read.sessions_present(lake_context.store, "reference_symbols")
    wanted = [day for day in dict.fromkeys(days) if day == days[-1] or day not in known]
    taken = [_snapshot(lake_context.store, source, day) for day in wanted]
    if lake_context.market.symbols is None:
        sessions = lake_context.calendar.sessions(days[0], days[-1])
        taken += _snapshots_between(lake_context.store, source, sessions)
    update_securities(lake_context.store, lake_context.market, source, days[-1])
    return taken


def _snapshots_between(
    store: ObjectStore, source: ReferenceSource, sessions: list[date]
) -> list[Published]:
    place = {day: number for number, day in enumerate(sessions)}
    present = sorted(read.sessions_present(store, "reference_symbols") & place.keys())
    known = {day: _listed_on(store, day) for day in present}
    # Widest first; a span that is halved leaves two to look at, and no other changes.
    spans = [
        (place[one] - place[other], place[one], place[other]) for one, other in pairwise(present)
    ]
    heapify(spans)
    taken: list[Published] = []
    while spans and len(taken) < SNAPSHOTS_MAX:
        _, first, last = heappop(spans)
        if last - first < 2 or known[sessions[first]] == known[sessions[last]]:
            continue
        middle = (first + last) // 2
        taken.append(_snapshot(store, source, sessions[middle]))
        known[sessions[middle]] = _listed_on(store, sessions[middle])
        heappush(spans, (first - middle, first, middle))
        heappush(spans, (middle - last, middle, last))
    return taken


def _listed_on(store: ObjectStore, day: date) -> int:
    """Return a digest of who is listed in a snapshot, under which symbol."""
    rows = read.table(store, "reference_symbols", day).select("symbol", "figi")
    return hash(frozenset(rows.iter_rows()))


def _snapshot(store: ObjectStore, source: ReferenceSource, day: date) -> Published:
    rows = source.symbols(day).with_columns(pl.lit(day).alias("as_of"))
    # A provider of another package may not know the columns that came later.
    absent = [name for name in SYMBOLS_ADDED if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, SYMBOLS[name]).alias(name) for name in absent)
    before = max(
        (taken for taken in read.sessions_present(store, "reference_symbols") if taken <= day),
        default=None,
    )
    usual = read.table(store, "reference_symbols", before).height if before else 0
    if (usual >= SYMBOLS_FEW and rows.height * 2 < usual) or (not rows.height and usual):
        raise InvalidDataError(
            f"{source.name} lists {rows.height} symbols on {day}, {usual} on {before}: "
            "such a list is not kept"
        )
    return write.publish_table(
        store, "reference_symbols", day, rows, key=SYMBOLS_KEY, mode="replace"
    )


def actions_span(first_session: date, now: datetime) -> tuple[date, date]:
    """Return the days whose corporate actions matter to sessions from `first_session` on."""
    return first_session - MARGIN, now.astimezone(NEW_YORK).date()


def update_splits(
    lake_context: LakeContext, source: ReferenceSource, first: date, last: date
) -> Published:
    """Replace the splits executed on `first` to `last` by what the provider lists now.

    What it no longer lists leaves `splits` and stays in `corporate_actions` with the time.
    Safe to repeat. Raises `InvalidDataError` for an answer that lists hardly any of many
    known splits.
    """
    listed = register_of(source.splits(first, last), pl.DataFrame(schema=DIVIDENDS))
    _register(lake_context.store, listed, "split", (first, last))
    return _publish_adjusting(lake_context.store)[0]


def update_dividends(
    lake_context: LakeContext, source: ReferenceSource, first: date, last: date
) -> Published:
    """Replace the dividends with an ex-date on `first` to `last`; see `update_splits`."""
    listed = register_of(pl.DataFrame(schema=SPLITS), source.dividends(first, last))
    _register(lake_context.store, listed, "dividend", (first, last))
    return _publish_adjusting(lake_context.store)[1]


def judge_actions(lake_context: LakeContext, days: Iterable[date]) -> None:
    """Judge the corporate actions around `days` again: their daily bars have changed.

    Tables are written only where a verdict changed. A lake whose actions were never
    registered is left as it is.
    """
    store = lake_context.store
    register = read.table(store, ACTIONS, None)
    apart = timedelta(days=REJUDGED_DAYS)
    near = [pl.col("effective_on").is_between(day - apart, day + apart) for day in days]
    if near and register.filter(pl.any_horizontal(near)).height:
        _judge(store)
        _publish_adjusting(store)


def _register(
    store: ObjectStore, listed: pl.DataFrame, action: str, span: tuple[date, date]
) -> None:
    at = datetime.now(UTC)

    def change(stored: pl.DataFrame) -> pl.DataFrame:
        register = stored if stored.height else _first_register(store)
        return _judged(store, replace_span(register, listed, action=action, span=span, at=at))

    write.update_table(store, ACTIONS, None, change, key=CORPORATE_ACTIONS_KEY)


def _judge(store: ObjectStore) -> None:
    write.update_table(
        store, ACTIONS, None, lambda stored: _judged(store, stored), key=CORPORATE_ACTIONS_KEY
    )


def _first_register(store: ObjectStore) -> pl.DataFrame:
    """Return the actions of a lake that kept them without a register."""
    return register_of(read.table(store, "splits", None), read.table(store, "dividends", None))


def _judged(store: ObjectStore, register: pl.DataFrame) -> pl.DataFrame:
    current = register.filter(pl.col("left_at").is_null())
    near = {day.year + apart for day in current["effective_on"] for apart in (-1, 0, 1)}
    symbols = current["symbol"].unique().implode()
    bars = [
        read.daily_bars(store, year, year).filter(pl.col("symbol").is_in(symbols))
        for year in read.years_present(store, "daily_bars")
        if year in near
    ]
    return judged(register, pl.concat([pl.DataFrame(schema=DAILY_BARS), *bars]))


def _publish_adjusting(store: ObjectStore) -> tuple[Published, Published]:
    """Bring `splits` and `dividends` to the actions of the register that adjust prices."""
    register = read.table(store, ACTIONS, None)
    return (
        write.publish_table(
            store, "splits", None, adjusting_splits(register), key=SPLITS_KEY, mode="replace"
        ),
        write.publish_table(
            store,
            "dividends",
            None,
            adjusting_dividends(register),
            key=DIVIDENDS_KEY,
            mode="replace",
        ),
    )
