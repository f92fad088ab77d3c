"""Keep the coverage ledgers: one object per session, changed by compare-and-swap."""

from collections.abc import Callable

from stock_platform.domain.coverage import COVERAGE, Ledger
from stock_platform.domain.problems import Transient
from stock_platform.domain.session import MinuteGrid
from stock_platform.lake import layout, parquet
from stock_platform.lake.publish import CONFLICTS_MAX
from stock_platform.lake.store import Conflict, Store

_WIDTH = "stocks.grid_width"


def load(store: Store, grid: MinuteGrid) -> Ledger | None:
    """Give a session's ledger; None when there is none for a grid of this width.

    A ledger kept with regular hours says nothing of the extended ones: after
    the setting changes it is derived anew.
    """
    found = store.get(layout.data("coverage", grid.session))
    return _decode(grid, found[0]) if found else None


def update(
    store: Store,
    grid: MinuteGrid,
    change: Callable[[Ledger | None], Ledger],
    *,
    due: int | None = None,
) -> Ledger:
    """Apply `change` to the stored ledger and keep the result; give it.

    `change` may be called again on a newer ledger when another writer was
    first, so it only depends on its argument. `due` is the end of the slots
    the counts speak of; by default the minutes over at the ledger's
    `checked_at`, or all of them.
    """
    path = layout.data("coverage", grid.session)
    for _ in range(CONFLICTS_MAX):
        found = store.get(path)
        ledger = change(_decode(grid, found[0]) if found else None)
        if due is None and ledger.checked_at is not None:
            end = grid.due(ledger.checked_at, 0)
        else:
            end = due
        data = parquet.encode("coverage", ledger.to_frame(end), **{_WIDTH: str(grid.width)})
        if found and found[0] == data:
            return ledger
        try:
            store.replace(path, data, found[1] if found else None)
        except Conflict:
            continue
        return ledger
    raise Transient(f"{path} was replaced by others {CONFLICTS_MAX} times in a row")


def _decode(grid: MinuteGrid, data: bytes) -> Ledger | None:
    path = layout.data("coverage", grid.session)
    if parquet.notes(data).get(_WIDTH) != str(grid.width):
        return None
    return Ledger.from_frame(grid, parquet.decode(path, data, COVERAGE))
