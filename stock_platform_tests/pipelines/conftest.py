"""A lake of two symbols and three sessions, the last of them a half-day."""

from datetime import date
from pathlib import Path

import pytest

from stock_platform.lake.object_store import open_store
from stock_platform.lake.object_store.filesystem import FileStore
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import HealingSettings, LakeSettings, MarketSettings
from stock_platform_tests.lake.conftest import s3_server, s3_settings
from stock_platform_tests.pipelines.settled import context_of

__all__ = ["s3_server", "s3_settings"]

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


@pytest.fixture
def on_disk(tmp_path: Path) -> LakeContext:
    return context_of(FileStore.open(tmp_path / "lake"))


@pytest.fixture
def in_s3(s3_settings: LakeSettings) -> LakeContext:
    return context_of(open_store(s3_settings))


@pytest.fixture(params=["on_disk", "in_s3"])
def any_lake(request: pytest.FixtureRequest) -> LakeContext:
    """Return an empty lake of each kind."""
    return request.getfixturevalue(request.param)
