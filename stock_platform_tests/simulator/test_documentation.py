"""docs/simulator.md names everything a script may say."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from stock_platform.simulator import scenario
from stock_platform.simulator.scenario import Fault

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
PARTS = [
    scenario.SyntheticScenario,
    scenario.SplitEvent,
    scenario.SymbolLife,
    scenario.ReplayScenario,
    scenario.MarketScenario,
    scenario.Keys,
    scenario.Denial,
    scenario.Limit,
    scenario.Plan,
    scenario.Fault,
    scenario.ScriptedOutage,
    scenario.Drop,
    scenario.FlatFile,
    scenario.Feed,
    scenario.Scenario,
]


def words() -> Iterator[str]:
    for part in PARTS:
        yield from (field.name for field in msgspec.structs.fields(part))
    kinds = next(field for field in msgspec.structs.fields(Fault) if field.name == "kind")
    yield from get_args(kinds.type)


@pytest.mark.parametrize("word", sorted(set(words())))
def test_every_key_and_kind_is_documented(word: str) -> None:
    assert word in DOCUMENT.read_text()
