"""Take the pictures of Dagster's UI in docs/images; run by `make screenshots`.

They show what the last `make demo` left under data/demo, and nothing is touched
up: a webserver is started on that instance, Chromium looks at it, both end.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import yaml
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from stock_platform.cli.demo.plan import DemoPlan
from stock_platform.components.heal_requests import HEAL_RANGE

DEMO, IMAGES = Path("data/demo"), Path("docs/images")
BYTES_MAX = 300_000
START_S, PAGE_S = 120.0, 90.0
SETTLE_MS = 6_000
"""The UI loads its parts one after the other and says nothing when it is done."""
ZOOM_OUT, MARGIN = 4, 40
_EVENTS = """{ assetOrError(assetKey: {path: ["lake", "minute_bars"]}) {
  ... on Asset { assetMaterializations(limit: 5000) { partition metadataEntries { label } } } } }"""
# What lies around all nodes of the graph, in pixels of the page.
_EXTENT = """() => {
  const boxes = [...document.querySelectorAll("foreignObject")].map(n => n.getBoundingClientRect());
  const x = Math.min(...boxes.map(b => b.left)), y = Math.min(...boxes.map(b => b.top));
  const right = Math.max(...boxes.map(b => b.right));
  const bottom = Math.max(...boxes.map(b => b.bottom));
  return {x, y, width: right - x, height: bottom - y};
}"""
# Neither the invitation to newcomers nor the wide menu belongs into a picture.
_PLAIN = """localStorage.setItem("communityNux", '"1"');
localStorage.setItem("dagster-nav-collapsed", "true");
localStorage.setItem("large-screen-nav-open", "false");"""
_RUNS = """{ runsOrError(filter: {statuses: [SUCCESS]}, limit: 200) {
  ... on Runs { results { id tags { key value } } } } }"""


def main() -> int:
    """Take every picture; return the exit code."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        sys.stderr.write("screenshots need Chromium (Debian: apt install chromium)\n")
        return 1
    if not (DEMO / "dagster").is_dir():
        subprocess.run([sys.executable, "-m", "stock_platform.cli", "demo"], check=True)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with webserver() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_quietly())
        lineage(browser, url)
        minute_page(browser, url)
        heal_run(browser, url)
        browser.close()
    return 0


def lineage(browser: Browser, url: str) -> None:
    """Take the graph of all assets, every group open, cut out of a very large window."""
    page = _open(browser, f"{url}/asset-groups", width=5200, height=4200)
    page.get_by_label("panel_show_right").click()
    page.keyboard.press("Alt+KeyE")
    page.get_by_text("minute_bars").first.wait_for()
    for _ in range(ZOOM_OUT):
        page.get_by_label("zoom_out").click()
    page.wait_for_timeout(SETTLE_MS)
    graph = page.evaluate(_EXTENT)
    around: FloatRect = {
        "x": max(0, graph["x"] - MARGIN),
        "y": max(0, graph["y"] - MARGIN),
        "width": graph["width"] + 2 * MARGIN,
        "height": graph["height"] + 2 * MARGIN,
    }
    _save(page, "lineage.png", clip=around)


def minute_page(browser: Browser, url: str) -> None:
    """Take the page of `lake/minute_bars`: sessions against minutes, and what a heal wrote there.

    Then its chart, opened. Chosen is the partition whose newest event says most: a heal's.
    """
    events = _ask(url, _EVENTS)["data"]["assetOrError"]["assetMaterializations"]
    newest: dict[str, int] = {}
    for event in events:
        newest.setdefault(event["partition"], len(event["metadataEntries"]))
    partition = quote(max(newest, key=lambda key: newest[key]))
    path = f"assets/lake/minute_bars?view=partitions&partition={partition}"
    page = _open(browser, f"{url}/{path}", width=1600, height=1500)
    page.get_by_text("heat map").first.wait_for()
    _save(page, "minute_bars.png")
    page.get_by_text("[Show Markdown]").first.click()
    _save(page, "heat_map.png")


def heal_run(browser: Browser, url: str) -> None:
    """Take the run of the longest range that was healed."""
    runs = _ask(url, _RUNS)["data"]["runsOrError"]["results"]
    tags = {run["id"]: {tag["key"]: tag["value"] for tag in run["tags"]} for run in runs}
    ranges = {run: named[HEAL_RANGE] for run, named in tags.items() if HEAL_RANGE in named}
    page = _open(
        browser, f"{url}/runs/{max(ranges, key=lambda run: _minutes(ranges[run]))}", height=1000
    )
    page.get_by_text("STEP_SUCCESS").first.wait_for()
    _save(page, "heal_run.png")


def _minutes(healed: str) -> int:
    """Read how long a range such as `2026-11-18 11:01-11:08` is."""
    first, last = (
        int(clock[:2]) * 60 + int(clock[3:]) for clock in healed.split(" ")[1].split("-")
    )
    return last - first


@contextmanager
def webserver() -> Generator[str]:
    """Run Dagster's UI on the demo's instance, with the demo's settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["dagster_webserver", "-m", "stock_platform.definitions", "-p", str(port)]
    environment = {**os.environ, **_plan().environment({})}
    with (DEMO / "screenshots.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _plan() -> DemoPlan:
    market = yaml.safe_load((DEMO / "simulation.yaml").read_text())["market"]["synthetic"]
    first, last = (date.fromisoformat(str(market[name])) for name in ("first", "last"))
    return DemoPlan(DEMO.resolve(), (first, last), market["symbols"])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError(f"the webserver did not start; see {DEMO / 'screenshots.log'}")


def _ask(url: str, query: str) -> dict:
    request = urllib.request.Request(
        f"{url}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PAGE_S) as answer:
        return json.load(answer)


def _open(browser: Browser, url: str, *, width: int = 1600, height: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PAGE_S * 1000)
    page.add_init_script(_PLAIN)
    page.goto(url)
    return page


def _save(page: Page, name: str, *, clip: FloatRect | None = None) -> None:
    page.wait_for_timeout(SETTLE_MS)
    taken = Image.open(BytesIO(page.screenshot(clip=clip))).convert("RGB")
    taken.quantize(colors=64 if clip else 256).save(IMAGES / name, optimize=True)
    size = (IMAGES / name).stat().st_size
    if size > BYTES_MAX:
        raise RuntimeError(f"{name} has {size:,} bytes, expected at most {BYTES_MAX:,}")
    sys.stderr.write(f"{IMAGES / name}: {size:,} bytes\n")


def _quietly() -> list[str]:
    """Flags without which Chromium calls home, which a closed network refuses again and again."""
    return [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]


if __name__ == "__main__":
    sys.exit(main())
