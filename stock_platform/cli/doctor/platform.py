"""Checks of what the platform itself needs: lake, calendar, budget, Dagster."""

import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from stock_platform.cli.doctor.check import Check
from stock_platform.components.instance import describe_instance, is_there_a_home
from stock_platform.domain.sessions import NEW_YORK
from stock_platform.errors import PermanentError, TransientError
from stock_platform.lake import read, tables
from stock_platform.lake.object_store import ObjectStore, Version, VersionConflictError, open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.pipelines.coverage import unlisted_symbols
from stock_platform.providers.rate_limit import budget_location
from stock_platform.providers.rate_limit import open_store as open_budget
from stock_platform.providers.rate_limit.limiter import to_rates
from stock_platform.settings import Settings


def _always(_: Settings) -> bool:
    return True


def lake_to_be_made(settings: Settings) -> Path | None:
    """Return the folder of the lake where there is none yet: nothing here makes it."""
    where = settings.lake.lake
    folder = Path(where).expanduser().absolute()
    return None if "://" in where or folder.exists() else folder


def _check_lake(settings: Settings) -> str:
    folder = lake_to_be_made(settings)
    if folder is not None:
        above = next(parent for parent in folder.parents if parent.exists())
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            raise PermanentError(f"the folder {folder} cannot be made in {above}")
        return f"{folder}: not there yet, the first writer makes it (`stocks init`)"
    try:
        store = open_store(settings.lake)
        path = tables.trial(uuid4().hex)
        try:
            _try(store, path)
        finally:
            store.delete([path])
    except OSError as error:
        raise PermanentError(f"the folder cannot be written: {error.strerror}") from None
    return f"{store.root}: writes, reads, swaps and deletes"


def _try(store: ObjectStore, path: str) -> None:
    if not store.put_if_absent(path, b"first"):
        raise PermanentError("a new object was refused as if it existed")
    found = store.get(path)
    if found is None or found[0] != b"first":
        raise PermanentError("an object was written and is not there")
    old = found[1]
    store.put_if_match(path, b"second", old)
    if _replaces(store, path, old):
        # Without it two writers lose rows unnoticed (measured: 44%).
        raise PermanentError("this store ignores If-Match: it cannot hold a lake")


def _replaces(store: ObjectStore, path: str, expected: Version) -> bool:
    try:
        store.put_if_match(path, b"third", expected)
    except VersionConflictError:
        return False
    return True


def _check_calendar(settings: Settings) -> str:
    market = settings.market
    try:
        calendar = market.calendar()
    except OSError as error:
        raise PermanentError(f"{market.calendar_overrides}: {error.strerror}") from None
    first, last = market.span(datetime.now(UTC).astimezone(NEW_YORK).date())
    hours = "extended hours" if market.extended_hours else "regular hours"
    return f"{len(calendar.sessions(first, last))} sessions, {first} to {last}, {hours}"


def _check_symbols(settings: Settings) -> str:
    watched = settings.market.symbols
    if lake_to_be_made(settings) is not None:
        return _without_list(watched)
    store = open_store(settings.lake, create=False)
    unlisted = unlisted_symbols(LakeContext.from_settings(settings, store=store))
    if unlisted:
        raise PermanentError("; ".join(unlisted))
    if not read.sessions_present(store, "reference_symbols"):
        return _without_list(watched)
    return "the whole market" if watched is None else f"{len(watched)} symbols, none unlisted"


def _without_list(watched: tuple[str, ...] | None) -> str:
    if watched is None:
        return "the whole market"
    return f"{len(watched)} symbols, no list of symbols to compare them with yet"


def _check_rate_limit(settings: Settings) -> str:
    where = budget_location(settings)
    try:
        with closing(open_budget(where)) as store:
            store.acquire("doctor", to_rates(per_second=1000))
    except TimeoutError:
        raise TransientError("another process holds the file's lock") from None
    except OSError as error:
        raise PermanentError(f"the file cannot be written: {error.strerror}") from None
    kind = "Redis" if where.startswith(("redis", "unix")) else where
    return f"requests of all processes are counted in {kind}"


PLATFORM = (
    Check(
        name="lake",
        used=_always,
        run=_check_lake,
        to_use="",
        remedy="STOCKS_LAKE names a folder or s3://bucket/prefix",
    ),
    Check(
        name="calendar",
        used=_always,
        run=_check_calendar,
        to_use="",
        remedy="see STOCKS_CALENDAR_OVERRIDES, STOCKS_FIRST_SESSION and STOCKS_SYMBOLS",
    ),
    Check(
        name="symbols",
        used=_always,
        run=_check_symbols,
        to_use="",
        remedy="STOCKS_SYMBOLS names symbols as the exchange writes them, e.g. BRK.B",
    ),
    Check(
        name="budget",
        used=_always,
        run=_check_rate_limit,
        to_use="",
        remedy="STOCKS_BUDGET names a file all processes can write, or redis://",
    ),
    Check(
        name="dagster",
        used=lambda _: is_there_a_home(),
        run=lambda _: describe_instance(),
        to_use="`stocks dev` starts Dagster; to check another instance set DAGSTER_HOME",
        remedy=(
            "DAGSTER_HOME is a folder that `stocks dev` has made, or has a dagster.yaml of its own"
        ),
    ),
)
