"""docs/simulator.md names everything a script may say."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from stock_platform.simulator import script
from stock_platform.simulator.script import Fault

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
PARTS = [
    script.SyntheticScript,
    script.SplitScript,
    script.ReplayScript,
    script.MarketScript,
    script.Keys,
    script.Denial,
    script.Limit,
    script.Plan,
    script.Fault,
    script.Outage,
    script.Drop,
    script.FlatFile,
    script.Feed,
    script.Script,
]


def words() -> Iterator[str]:
    for part in PARTS:
        yield from (field.name for field in msgspec.structs.fields(part))
    kinds = next(field for field in msgspec.structs.fields(Fault) if field.name == "kind")
    yield from get_args(kinds.type)


@pytest.mark.parametrize("word", sorted(set(words())))
def test_every_key_and_kind_is_documented(word: str) -> None:
    assert word in DOCUMENT.read_text()
