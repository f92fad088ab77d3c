"""The contract suite of indicators: ours keep it, the template keeps it, a broken one does not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stock_platform.indicators import registry
from stock_platform.indicators.engine.arrays import BarArrays
from stock_platform.indicators.indicator import Arrays, Column, Indicator, Unit
from stock_platform.testing.indicators import IndicatorContract

TEMPLATE = Path(__file__).parents[2] / "docs" / "templates" / "indicator.py"


class TestBuiltIn(IndicatorContract):
    """Every indicator that comes with the platform."""

    @pytest.fixture(autouse=True, params=registry.builtin(), ids=lambda one: one.name)
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.indicator = request.param


def test_the_template_keeps_the_contract() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(TEMPLATE)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def made(
    compute: Callable[[BarArrays], Arrays],
    *,
    unit: Unit = "price",
    warmup: int = 0,
    lookback: int = 0,
) -> Indicator:
    """Return an indicator with one column around a function of bars."""
    column = Column("mine", unit, "a number")
    return Indicator(
        name="mine",
        title="Mine",
        columns=(column,),
        compute=compute,
        warmup=warmup,
        lookback=lookback,
    )


def last_price(bars: BarArrays) -> Arrays:
    return (np.full(len(bars), bars.close[-1]),)


def previous_price(bars: BarArrays) -> Arrays:
    return (np.append(np.nan, bars.close[:-1]),)


def scaled_in_place(bars: BarArrays) -> Arrays:
    np.multiply(bars.close, 2.0, out=bars.close)
    return (bars.close,)


BROKEN = {
    "test_appending_a_session_changes_nothing_before_it": made(last_price),
    "test_values_begin_after_the_warmup": made(previous_price, warmup=3, lookback=3),
    "test_the_arrays_it_reads_are_left_as_they_are": made(scaled_in_place),
    "test_a_split_rescales_values_by_their_unit": made(lambda b: (b.close,), unit="percent"),
    "test_the_lookback_is_enough": made(lambda b: (np.cumsum(b.close),), lookback=5),
}


@pytest.mark.parametrize(("promise", "broken"), BROKEN.items())
def test_a_broken_promise_is_reported_by_its_name(promise: str, broken: Indicator) -> None:
    suite = IndicatorContract()
    suite.indicator = broken

    # The arrays of a frame are read-only: writing into them raises by itself.
    with pytest.raises((AssertionError, ValueError)):
        getattr(suite, promise)()
