"""The simulator as a process: it says where it is, answers, and leaves when told."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from stock_platform.settings import FinnhubSettings, MassiveSettings, RapidSettings
from stock_platform.simulator.scenario import load_scenario
from stock_platform.simulator.server import Simulator, launched, make_market

SCRIPT = "market: {synthetic: {symbols: [AAPL], first: 2026-11-17, last: 2026-11-17}}"


def test_a_child_process_tells_the_truth_its_parent_can_compute(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)
    market = make_market(load_scenario(path))

    with launched(path) as variables:
        answer = httpx2.get(
            f"{variables['MASSIVE_REST_URL']}/v2/aggs/ticker/AAPL/range/1/minute/2026-11-17/2026-11-17",
            headers={"Authorization": f"Bearer {variables['MASSIVE_API_KEY']}"},
        )

    truth = market.minute_bars(market.sessions[0])
    assert [bar["c"] for bar in answer.json()["results"]] == truth["close"].to_list()


def test_it_stops_cleanly_when_told() -> None:
    command = [sys.executable, "-W", "error", "-m", "stock_platform.simulator"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        while not child.stdout.readline().startswith("# ready"):
            assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        errors = child.stderr.read()
        code = child.wait(10)

    assert (code, errors) == (0, "")


def test_the_variables_it_tells_are_the_platforms_own(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)

    massive, finnhub, rapidapi = MassiveSettings(), FinnhubSettings(), RapidSettings()

    assert massive.rest_url == simulator.rest_url
    assert massive.flatfiles_access_key.get_secret_value() == simulator.keys.flatfiles[0]
    assert finnhub.rest_url == simulator.finnhub_url
    assert rapidapi.url.format(symbol="AAPL") == f"{simulator.rapidapi_url}/quote/AAPL"
