"""The report as a reader sees it: on a phone and a desktop, by day and by night."""

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

from stock_platform.serving.report.build import preview
from stock_platform_tests.serving.weekly_examples import HOLIDAY_WEEK, example_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "out.html"
    return preview(example_report(HOLIDAY_WEEK), path).as_uri()


@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_is_wider_than_the_screen_and_every_chart_loads(
    browser: Browser, address: str, width: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        page.goto(address)
        reach = page.evaluate("document.documentElement.scrollWidth")
        charts = page.evaluate("[...document.images].map(image => image.naturalWidth)")

    assert reach == width
    assert charts == [1080, 1080, 1080]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_stands_out_from_its_card(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    with browser.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(address)
        contrasts = page.evaluate(_CONTRASTS)

    # WCAG asks for 4.5 where text is small.
    assert min(contrasts.values()) >= 4.5, contrasts


_CONTRASTS = """() => {
  const light = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(Number)
      .map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const card = light(getComputedStyle(document.querySelector('.card')).backgroundColor);
  const of = name => {
    const text = light(getComputedStyle(document.querySelector(name)).color);
    return (Math.max(card, text) + 0.05) / (Math.min(card, text) + 0.05);
  };
  return Object.fromEntries(['h1', '.soft', 'td.rise', 'td.fall'].map(name => [name, of(name)]));
}"""


def test_a_reader_sees_what_the_text_version_says(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        seen = page.inner_text("body")

    assert "4 sessions, the exchange was closed on the other weekdays" in seen
    assert "no data this week" in seen
    assert "99.96% of the 5,850 expected minutes are accounted for" in seen


def test_the_preview_is_one_file(address: str) -> None:
    folder = Path(address.removeprefix("file://")).parent

    assert [path.name for path in folder.iterdir()] == ["out.html"]
