"""report.html in a browser: wide and narrow, light and dark, clicked, copied, downloaded from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

import strategies
from search.results import report
from tests.support.runs import fake_runs as made
from tests.support.runs import report_pages
from tests.support.runs.browser import chromium, needs_browser, show, wait
from tests.support.runs.report_pages import page

# Whether nothing is wider than the window; beside its scroll bar, where it has one.
FITS = """const {scrollWidth, clientWidth} = document.documentElement;
return scrollWidth === clientWidth && scrollWidth <= arguments[0] && innerWidth === arguments[0]"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.finished(tmp_path_factory.mktemp("done") / "run")


@pytest.fixture(scope="module")
def evil(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_pages.evil(done, tmp_path_factory.mktemp("evil"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder) as opened:
        yield opened, folder


@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_works_in_a_browser(
    evil: Path, driver: tuple[Any, Path], width: int, theme: str
) -> None:
    browser, _ = driver
    show(browser, evil / report.FILE, width, theme)
    run = browser.execute_script
    assert run(FITS, width)
    assert run("return window.bad") is None
    ground = run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 600) == (theme == "light")
    data = page(evil).data
    shown = [row["key"] for row in data["strategies"] if row["group"] == "found"]
    for key in (shown[0], shown[-1]):
        click(browser, key)
        one = next(row for row in data["strategies"] if row["key"] == key)
        wait(lambda one=one: text(browser, "#headline") == one["headline"])
        images = browser.find_elements(By.CSS_SELECTOR, f"[data-images='{key}'] img")
        expected = data["gallery"]["strategies"][key]
        uris = [element.get_attribute("src") for element in images]
        assert uris == expected["images"] + expected["differences"]
        assert all(run("return arguments[0].naturalWidth", element) == 16 for element in images)
        assert json.loads(run("return chosen.file")) == json.loads(one["file"])
    browser.find_element(By.CSS_SELECTOR, f"[data-images='{key}'] button").click()
    assert text(browser, "#prompt").startswith("</script><script>window.bad = 1")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#three img")) == 3
    browser.find_element(By.CSS_SELECTOR, "#large button").click()
    run("document.querySelector('[data-over=evaluations]').click()")
    assert len(run("return document.getElementById('growth').data")) == 2
    assert run(FITS, width)
    assert run("return window.bad") is None
    assert browser.get_log("browser") == []


def click(browser: Any, key: str) -> None:
    """Click a point of the first panel with the mouse."""
    place = browser.execute_script(
        """
        const panel = document.querySelector(".panel");
        panel.scrollIntoView({block: "center"});
        const {_fullLayout: layout} = panel, box = panel.getBoundingClientRect();
        for (const trace of panel.data) {
          const index = (trace.customdata || []).indexOf(arguments[0]);
          if (index >= 0) return [
            box.left + layout._size.l + layout.xaxis.d2p(trace.x[index]),
            box.top + layout._size.t + layout.yaxis.d2p(trace.y[index]),
          ];
        }
        """,
        key,
    )
    mouse = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **mouse})


def text(browser: Any, selector: str) -> str:
    found: str = browser.find_element(By.CSS_SELECTOR, selector).text
    return found


@needs_browser
def test_a_strategy_can_be_copied_and_downloaded(done: Path, driver: tuple[Any, Path]) -> None:
    browser, folder = driver
    show(browser, done / report.FILE, 1280, "light")
    browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    files = sorted((done / "strategies").glob("[0-9]*.json"))
    row = browser.find_elements(By.CSS_SELECTOR, "#strategies tbody tr")[2]
    row.find_element(By.CSS_SELECTOR, "[data-do=copy]").click()
    wait(lambda: "is copied" in text(browser, "#told"))
    copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == files[1].read_text()
    browser.find_elements(By.CSS_SELECTOR, "#strategies [data-do=download]")[0].click()
    saved = folder / files[0].name
    wait(saved.exists)
    assert saved.read_text() == files[0].read_text()
    assert strategies.load(saved).digest == strategies.load(files[0]).digest
    assert browser.get_log("browser") == []
