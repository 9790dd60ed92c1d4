"""A headless Chromium for tests of pages; without one they are skipped and say so."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE = 60.0  # Seconds for a page to draw itself.
needs_browser = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="needs Chromium: apt-get install chromium chromium-driver",
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip


@contextmanager
def chromium(folder: Path) -> Iterator[Any]:
    """A browser that saves what it downloads to a folder."""
    options = Options()
    assert BROWSER is not None
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Any, path: Path, width: int, theme: str) -> None:
    """Open a page at a width in CSS pixels and in the light or dark theme, and wait for it."""
    feature = {"name": "prefers-color-scheme", "value": theme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    driver.get(path.as_uri())
    wait(lambda: driver.execute_script("return document.documentElement.dataset.ready") == "yes")


def wait(done: Any) -> None:
    """Until something holds; fails where it never does."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.05)
