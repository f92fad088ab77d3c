"""`stocks demo`: lose data on purpose and watch the sensors find and heal it.

Nothing here materializes anything: a simulator and a real Dagster daemon run
as they would in production, and this process only watches.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from stock_platform.cli.demo.feed import Recorder
from stock_platform.cli.demo.plan import DemoPlan
from stock_platform.cli.demo.report import figures, print_report
from stock_platform.cli.demo.truth import mismatched
from stock_platform.cli.dev.home import prepare_home
from stock_platform.cli.dev.processes import child, wait_for
from stock_platform.cli.terminal import console
from stock_platform.components.heal_requests import sessions_in_work
from stock_platform.errors import PermanentError, PlatformError
from stock_platform.lake import coverage
from stock_platform.lake.object_store import open_store
from stock_platform.pipelines.context import LakeContext
from stock_platform.settings import Settings
from stock_platform.simulator.market.market import Market
from stock_platform.simulator.scenario import load_scenario
from stock_platform.simulator.server import make_market
from stock_platform.stream.sinks.minutes import MinuteWriter

HEALED_WITHIN_S = 300.0
RUNS_END_WITHIN_S = 60.0


@dataclass(slots=True)
class Demo:
    """One demo: its plan, and where its progress is printed."""

    plan: DemoPlan
    console: Console
    started: float = field(default_factory=time.monotonic)

    def log(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.started:5.1f} s[/]  {text}")


def run_demo(folder: Path, *, symbols: int, as_json: bool, ui: bool) -> int:
    """Run the whole demo; return the exit code. With `as_json` the last line is one JSON object."""
    plan = DemoPlan.of_today(folder, symbols, datetime.now(UTC))
    demo = Demo(plan, console(stderr=as_json))
    _make_folder(plan)
    # A plain SIGTERM would end this process and leave its children behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        vendors = _start_simulator(demo, stack)
        os.environ.update(plan.environment(vendors))
        settings = Settings.from_env()
        lake_context = LakeContext(open_store(settings.lake), settings.market, settings.healing)
        _stream(demo, lake_context, vendors)
        _start_dagster(demo, stack)
        healed = _watch(demo, lake_context)
        _wait_for_runs(demo)
        market = make_market(load_scenario(plan.script()))
        result = _result(demo, lake_context, market)
        print_report(demo.console, plan, lake_context, result, runs=_runs())
        if as_json:
            sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
        if ui:
            _show_ui(demo, stack)
    return 0 if healed and result["missing"] == 0 and result["mismatched"] == 0 else 1


def _make_folder(plan: DemoPlan) -> None:
    if plan.folder.exists():
        if any(plan.folder.iterdir()) and not (plan.folder / "simulation.yaml").exists():
            raise PermanentError(
                f"{plan.folder} is not an earlier demo's folder: name another one with --folder"
            )
        shutil.rmtree(plan.folder)
    plan.lake.mkdir(parents=True)
    prepare_home(plan.home)


def _start_simulator(demo: Demo, stack: ExitStack) -> dict[str, str]:
    log = demo.plan.folder / "simulator.log"
    script = demo.plan.write_script()
    process = stack.enter_context(
        child("the simulator", ["stock_platform.simulator", str(script)], log=log, environment={})
    )
    wait_for(
        "the simulator",
        lambda: "POLYGON_WS_HOST_DELAYED" in log.read_text(),
        process,
        log=log,
        seconds=60,
    )
    exports = [line for line in log.read_text().splitlines() if line.startswith("export ")]
    pairs = (line.removeprefix("export ").split("=", 1) for line in exports)
    vendors = {name: value.strip("'") for name, value in pairs}
    days = f"{demo.plan.sessions[0]} to {demo.plan.sessions[-1]}"
    demo.log(
        f"simulator serves {demo.plan.symbols} symbols, {days}, at {vendors['MASSIVE_REST_URL']}"
    )
    return vendors


def _stream(demo: Demo, lake_context: LakeContext, vendors: dict[str, str]) -> None:
    """Bring the feed's bars to the lake, except what the script loses."""
    recorder = Recorder(
        url=vendors["POLYGON_WS_HOST_REALTIME"],
        control_url=vendors["MASSIVE_REST_URL"],
        key=vendors["MASSIVE_API_KEY"],
        writer=MinuteWriter(lake_context.store, lake_context.calendar, "demo"),
        progress=lambda at: demo.log(f"streaming {at.date()}"),
    )
    recorder.record()
    demo.log(
        f"streamed {recorder.events:,} bars into {recorder.parts:,} minute parts over "
        f"{recorder.connections} connections; lost: a session, "
        "7 minutes of all symbols, scattered minutes"
    )


def _start_dagster(demo: Demo, stack: ExitStack) -> None:
    log = demo.plan.folder / "daemon.log"
    arguments = ["dagster._daemon", "run", "-m", "stock_platform.definitions"]
    stack.enter_context(child("the daemon", arguments, log=log, environment={}))
    demo.log("Dagster daemon started: from here on, only sensors act")


def _watch(demo: Demo, lake_context: LakeContext) -> bool:
    """Print what changes until every minute is accounted for and verified, or time is up."""
    deadline = time.monotonic() + HEALED_WITHIN_S
    before: list[tuple[object, ...]] = []
    while time.monotonic() < deadline:
        known = coverage.summaries(lake_context.store, demo.plan.sessions)
        state = list(
            known.select("session", "observed", "missing", "healed", "verified_at").iter_rows()
        )
        for row in state:
            if row not in before:
                session, observed, missing, healed, verified = row
                demo.log(
                    f"{session}: {observed:,} observed, {healed:,} of them healed, "
                    f"{missing:,} missing, {'verified' if verified else 'not yet verified'}"
                )
        before = state
        done = len(state) == len(demo.plan.sessions)
        if done and all(row[2] == 0 and row[4] is not None for row in state):
            return True
        time.sleep(0.5)
    demo.console.print(
        f"[red]not healed within {HEALED_WITHIN_S:.0f} s; see {demo.plan.folder / 'daemon.log'}[/]"
    )
    return False


def _wait_for_runs(demo: Demo) -> None:
    """Let the runs that are going end, so that Dagster's pages are whole too."""
    import dagster as dg

    deadline = time.monotonic() + RUNS_END_WITHIN_S
    with dg.DagsterInstance.get() as instance:
        while sessions_in_work(instance) and time.monotonic() < deadline:
            time.sleep(0.5)
    demo.log("every run has ended")


def _runs() -> Counter[str]:
    """Count the runs by the sensor that requested them."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
    return Counter(run.tags.get("dagster/sensor_name", "not a sensor") for run in runs)


def _result(demo: Demo, lake_context: LakeContext, market: Market) -> dict[str, int | float]:
    try:
        wrong = mismatched(lake_context.store, market, demo.plan.sessions)
    except PlatformError as problem:
        raise PermanentError(f"the lake cannot be compared: {problem}") from problem
    return {
        **figures(lake_context, demo.plan.sessions),
        "mismatched": wrong,
        "sessions": len(demo.plan.sessions),
        "symbols": demo.plan.symbols,
        "seconds": round(time.monotonic() - demo.started, 1),
    }


def _show_ui(demo: Demo, stack: ExitStack) -> None:
    log = demo.plan.folder / "webserver.log"
    arguments = ["dagster_webserver", "-m", "stock_platform.definitions", "-p", "3000"]
    process = stack.enter_context(child("the UI", arguments, log=log, environment={}))
    demo.log("the UI is at http://127.0.0.1:3000; Ctrl-C ends it")
    try:
        process.wait()
    except KeyboardInterrupt:
        demo.log("stopping")
