"""The mode of a heal run is its config; only a run queued before that has it as a tag."""

import pytest

from stock_platform.components.heal_requests import HEAL_SESSION, minute_run
from stock_platform.defs.minute_bars.assets import HealConfig, is_only_ready, minute_bars
from stock_platform.healing.scheduling import HealHistory, HealRange
from stock_platform_tests.domain.examples import DAY

OF_A_SENSOR = {HEAL_SESSION: "2026-11-19"}


@pytest.mark.parametrize(
    ("config", "tags", "mode"),
    [
        pytest.param(None, {}, False, id="by hand"),
        pytest.param(None, OF_A_SENSOR, True, id="queued before the mode was config"),
        pytest.param(True, OF_A_SENSOR, True, id="of a sensor"),
        pytest.param(False, OF_A_SENSOR, False, id="a sensor's run launched again by hand"),
        pytest.param(True, {}, True, id="by hand, as the sensors do"),
    ],
)
def test_the_mode_of_a_run_is_its_config(
    *, config: bool | None, tags: dict[str, str], mode: bool
) -> None:
    assert is_only_ready(HealConfig(only_ready=config), tags) is mode


def test_a_sensors_run_has_its_mode_as_config() -> None:
    need = HealRange(session=DAY, first=0, last=9, minutes=10, symbols=1)
    config = HealConfig(only_ready=True)

    run = minute_run("minute_bar_gaps", need, HealHistory(), asset=minute_bars, config=config)

    assert run.run_config["ops"] == {"lake__minute_bars": {"config": {"only_ready": True}}}
