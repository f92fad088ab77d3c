"""What providers answered: the evidence that a minute without a bar is empty."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from stock_platform.domain.responses import ANSWERS, Answer
from stock_platform.lake import append_log, tables
from stock_platform.lake.object_store import Store

_SAME = tuple(ANSWERS)


def record_answers(store: Store, session: date, answers: Sequence[Answer]) -> int:
    """Keep what was answered about a session; give the rows kept. Safe to repeat."""
    rows = pl.DataFrame(
        [row for answer in answers for row in answer.to_rows()], schema=ANSWERS, orient="row"
    )
    if rows.height:
        append_log.keep_part(store, "answers", session, append_log.unite(rows, same=_SAME))
        if len(store.list(tables.folder("answers", session))) > append_log.PARTS_MAX:
            compact_answers(store, session)
    return rows.height


def read_answers(store: Store, session: date) -> pl.DataFrame:
    """Give the answers about a session, each once."""
    rows, _ = append_log.read_parts(store, "answers", session)
    return append_log.unite(rows, same=_SAME)


def compact_answers(store: Store, session: date) -> int:
    """Fold a session's parts into one; give how many went away."""
    return append_log.fold(store, "answers", session, same=_SAME)
