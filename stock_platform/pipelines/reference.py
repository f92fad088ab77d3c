"""Reference data: snapshots of the listed symbols, splits and dividends."""

from datetime import date, datetime, timedelta

import polars as pl

from stock_platform.domain.reference import DIVIDENDS_KEY, SPLITS_KEY, SYMBOLS_KEY
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import PermanentError
from stock_platform.lake import read, write
from stock_platform.lake.write import Published
from stock_platform.pipelines.context import LakeContext
from stock_platform.providers.registry import Providers
from stock_platform.providers.sources import ReferenceSource

MARGIN = timedelta(days=400)
"""Corporate actions are fetched from this long before the first session, for adjustment."""

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
    """Keep the symbols listed on each of `days`; all but the last are taken only once."""
    store = lake_context.store
    known = read.sessions_present(store, "reference_symbols")
    wanted = [day for day in dict.fromkeys(days) if day == days[-1] or day not in known]
    return [
        write.publish_table(
            store,
            "reference_symbols",
            day,
            source.symbols(day).with_columns(pl.lit(day).alias("as_of")),
            key=SYMBOLS_KEY,
            mode="replace",
        )
        for day in wanted
    ]


def actions_span(first_session: date, now: datetime) -> tuple[date, date]:
    """Return the days whose corporate actions matter to sessions from `first_session` on."""
    return first_session - MARGIN, now.astimezone(NEW_YORK).date()


def update_splits(
    lake_context: LakeContext, source: ReferenceSource, first: date, last: date
) -> Published:
    """Publish the splits executed on `first` to `last`; safe to repeat."""
    rows = source.splits(first, last)
    return write.publish_table(lake_context.store, "splits", None, rows, key=SPLITS_KEY)


def update_dividends(
    lake_context: LakeContext, source: ReferenceSource, first: date, last: date
) -> Published:
    """Publish the dividends with an ex-date on `first` to `last`; safe to repeat."""
    rows = source.dividends(first, last)
    return write.publish_table(lake_context.store, "dividends", None, rows, key=DIVIDENDS_KEY)
