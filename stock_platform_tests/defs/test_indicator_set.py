"""A user's defs.yaml with an indicator set: loaded, materialized, refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import dagster as dg
import polars as pl
import pytest
import yaml
from dagster.components.testing.utils import create_defs_folder_sandbox

from stock_platform.components.partitions import sessions
from stock_platform.defs.resources import LakeResource
from stock_platform.indicators.by_name import compute_indicators
from stock_platform.lake import read
from stock_platform.pipelines.context import LakeContext
from stock_platform_tests.defs.conftest import SYMBOLS
from stock_platform_tests.defs.runs import run_session, run_sessions

TYPE = "stock_platform.components.IndicatorSet"
pytestmark = pytest.mark.filterwarnings(
    "ignore:.parse_obj_as. is deprecated"  # Dagster 1.13 reads a defs.yaml with it
)
INDICATORS = ["ema_5", "rsi_14", "volatility"]


@contextmanager
def _project(**attributes: object) -> Iterator[dg.Definitions]:
    """Load the project of a user who adds one set."""
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.defs_folder_path / "my_set"
        folder.mkdir()
        told = yaml.safe_dump({"type": TYPE, "attributes": attributes})
        (folder / "defs.yaml").write_text(told)
        with sandbox.build_all_defs() as loaded:
            yield loaded


def _materialize(
    loaded: dg.Definitions, lake: LakeResource, session: date
) -> dg.ExecuteInProcessResult:
    assets = [asset for asset in loaded.assets or () if isinstance(asset, dg.AssetsDefinition)]
    return dg.materialize(
        assets, partition_key=session.isoformat(), resources={"lake": lake}, raise_on_error=False
    )


@pytest.mark.parametrize(
    ("timeframe", "bars"), [("daily", "daily_bars"), ("minute", "session_bars")]
)
def test_a_set_is_an_asset_of_its_own(timeframe: str, bars: str) -> None:
    key = dg.AssetKey(["indicators", "my_set"])

    with _project(name="my_set", timeframe=timeframe, indicators=INDICATORS) as loaded:
        asset = loaded.get_assets_def(key)

    assert asset.partitions_def == sessions
    assert asset.asset_deps[key] == {
        dg.AssetKey(["lake", bars]),
        dg.AssetKey(["reference", "splits"]),
    }
    assert "lake" in asset.required_resource_keys
    shown = asset.metadata_by_key[key]["dagster/column_schema"]
    assert [column.name for column in shown.columns][2:] == INDICATORS


def test_daily_values_are_those_of_compute_indicators(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    two_sessions: list[date],
) -> None:
    run_sessions(instance, *two_sessions, "lake/daily_bars")

    with _project(name="my_set", timeframe="daily", indicators=["volatility", "gap_pct"]) as loaded:
        results = [_materialize(loaded, lake, session) for session in two_sessions]

    years = sorted({session.year for session in two_sessions})
    found = pl.concat([read.table(lake_context.store, "my_set", year) for year in years])
    bars = read.daily_bars(lake_context.store, years[0], years[-1])
    wanted = compute_indicators(bars, ["volatility", "gap_pct"])
    assert all(result.success for result in results)
    assert set(found["symbol"]) == set(SYMBOLS)
    assert found["gap_pct"].null_count() == len(SYMBOLS)
    _same_rows(found, wanted, "session")


def test_minute_values_are_those_of_compute_indicators(
    instance: dg.DagsterInstance,
    lake: LakeResource,
    lake_context: LakeContext,
    two_sessions: list[date],
) -> None:
    session, store = two_sessions[1], lake_context.store
    run_session(instance, session, "lake/session_bars")

    with _project(name="my_set", timeframe="minute", indicators=INDICATORS) as loaded:
        result = _materialize(loaded, lake, session)

    found = read.table(store, "my_set", session)
    wanted = compute_indicators(read.minute_bars(store, session), INDICATORS)
    assert result.success
    _same_rows(found, wanted, "minute")
    assert read.sessions_present(store, "my_set_state") == {session}
    assert read.sessions_present(store, "indicators_minute") == set()


def _same_rows(found: pl.DataFrame, wanted: pl.DataFrame, time: str) -> None:
    columns = ["symbol", time, *(c for c in wanted.columns if c not in {"symbol", time})]
    assert found.height > 0
    assert (
        found.select(columns)
        .sort("symbol", time)
        .equals(wanted.select(columns).sort("symbol", time), null_equal=True)
    )


GOOD = {"name": "my_set", "timeframe": "daily", "indicators": ["rsi_14"]}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"indicators": ["rsi_14", "rsy"]}, "indicator set 'my_set': no daily indicator 'rsy'"),
        ({"indicators": ["session_vwap"]}, "no daily indicator 'session_vwap'"),
        ({"indicators": []}, "names no indicator"),
        ({"timeframe": "weekly"}, "timeframe"),
        ({"name": "minute_bars"}, "'minute_bars': the platform has a table called so"),
        ({"name": "indicators_daily_state"}, "does not end in _state"),
        ({"name": "daily"}, "the platform has a table called so"),
        ({"name": "../My set"}, "lower-case letters"),
    ],
)
def test_wrong_attributes_are_one_error_at_load(wrong: dict[str, object], named: str) -> None:
    raised: BaseException | None = None
    try:
        with _project(**(GOOD | wrong)):
            pass
    except Exception as error:
        raised = error

    chain = list[str]()
    while raised is not None:
        chain.append(str(raised))
        raised = raised.__cause__
    assert any(named in text for text in chain), chain
