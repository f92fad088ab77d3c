"""A user's notebook: twenty lines from opening a lake to a plot, run and type-checked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = """\
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import polars as pl
import stock_platform as sp

lake = sp.open_lake()
session = "2026-11-20"
gaps = lake.gaps("2026-11-16", session)
print(f"{gaps['minutes'].sum()} missing symbol-minutes")
bars = lake.daily_bars("2026-01-02", session, symbols=["AAPL"], adjusted=True)
values = sp.compute_indicators(bars, ["ema_20", "rsi_14"])
chart = bars.join(values, on=["symbol", "session"])
minutes = lake.minute_bars(session, symbols=["AAPL"], lazy=True)
volume = minutes.select(pl.col("volume").sum()).collect().item()
busiest = lake.sql("select symbol, sum(volume) v from minute_bars group by 1 order by 2 desc")
print(volume, busiest.row(0))
plt.plot(chart["session"], chart["close"], label="close")
plt.plot(chart["session"], chart["ema_20"], label="ema_20")
plt.legend(); plt.savefig("aapl.png")
"""


def test_a_notebook_ends_in_a_plot(tmp_path: Path, environment: dict[str, str]) -> None:
    assert len([line for line in NOTEBOOK.splitlines() if line]) <= 20

    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", NOTEBOOK],
        cwd=tmp_path,
        env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "missing symbol-minutes" in done.stdout
    assert (tmp_path / "aapl.png").read_bytes().startswith(b"\x89PNG")


WRONG = """\
import polars as pl
import stock_platform as sp

lake = sp.open_lake()
frame: pl.DataFrame = lake.minute_bars("2026-11-20", lazy=True)
lake.indicators("hourly")
sp.open_lakes()
"""


@pytest.mark.timeout(300)
def test_a_users_script_is_type_checked(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(NOTEBOOK)
    (tmp_path / "wrong.py").write_text(WRONG)
    config = {"typeCheckingMode": "basic", "reportMissingModuleSource": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))

    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in found
        if each["severity"] == "error"
    ]
    assert sorted(errors) == [("wrong.py", 5), ("wrong.py", 6), ("wrong.py", 7)]
