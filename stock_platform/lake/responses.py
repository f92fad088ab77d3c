"""What providers answered: the evidence that a minute without a bar is empty."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.domain.responses import PROVIDER_RESPONSES, ProviderResponse
from stock_platform.lake import append_log, tables
from stock_platform.lake.object_store import ObjectStore

_SAME = tuple(PROVIDER_RESPONSES)


def record_responses(
    store: ObjectStore, session: date, responses: Sequence[ProviderResponse]
) -> int:
    """Keep what was answered about a session; return the rows kept. Safe to repeat."""
    rows = pl.DataFrame(
        [row for response in responses for row in response.to_rows()],
        schema=PROVIDER_RESPONSES,
        orient="row",
    )
    if rows.height:
        append_log.append(store, "answers", session, append_log.deduplicate(rows, same=_SAME))
        if len(store.list(tables.folder("answers", session))) > append_log.PARTS_MAX:
            compact_responses(store, session)
    return rows.height


def read_responses(store: ObjectStore, session: date) -> pl.DataFrame:
    """Return the answers about a session, each once."""
    rows, _ = append_log.read_parts(store, "answers", session)
    return append_log.deduplicate(rows, same=_SAME)


def compact_responses(store: ObjectStore, session: date) -> int:
    """Fold a session's parts into one; return how many went away."""
    return append_log.compact(store, "answers", session, same=_SAME)
