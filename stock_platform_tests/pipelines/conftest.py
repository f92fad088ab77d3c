"""A lake of two symbols and three sessions, the last of them a half-day."""

from datetime import date
from pathlib import Path

import pytest

from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import HealingSettings, MarketSettings

SESSIONS = (date(2026, 11, 24), date(2026, 11, 25), date(2026, 11, 27))


@pytest.fixture
def context(tmp_path: Path) -> LakeContext:
    market = {
        "symbols": "AAPL,MSFT",
        "first_session": SESSIONS[0],
        "last_session": SESSIONS[-1],
    }
    return LakeContext(
        FileStore.open(str(tmp_path)),
        MarketSettings.model_validate(market),
        HealingSettings.model_validate({}),
    )
