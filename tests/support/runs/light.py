"""Searches at the sizes of tests: small forests, few resamples, coarse plots, one load."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from accel.models import loading
from evaluate.statistics import bootstrap
from search.results.plots import style
from tests.support.copies import copied

RESAMPLES = 40
TREES = 20
DPI = 60
LOAD = loading._load
SHARP = style.SETTINGS["savefig.dpi"]
LOADED: dict[tuple[Any, ...], Any] = {}


def load_once(name: str, source: str, dtype: Any, download: bool, config: Any = None) -> Any:
    """A bundled model read from its files once, and copied from then on."""
    if not source.startswith("zoo:"):
        return LOAD(name, source, dtype, download, config)
    key = (source, dtype)
    if key not in LOADED:
        LOADED[key] = LOAD(name, source, dtype, download, config)
    return copied(LOADED[key])


@pytest.fixture(autouse=True, scope="module")
def light(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sizes of a file's searches; those of one that is marked `full_size` are as a user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.models.loading._load", load_once)
        if request.node.get_closest_marker("full_size") is None:
            few = partial(bootstrap.paired_bootstrap, repeats=RESAMPLES)
            patch.setattr("evaluate.statistics.bootstrap.paired_bootstrap", few)
            patch.setattr("search.surrogate.gaussian_process.TREES", TREES)
            patch.setattr("search.results.report.importance.TREES", TREES)
            patch.setattr("search.results.report.importance.SHUFFLES", 1)
            patch.setitem(style.SETTINGS, "savefig.dpi", DPI)
        yield


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots in a user's resolution."""
    monkeypatch.setitem(style.SETTINGS, "savefig.dpi", SHARP)
