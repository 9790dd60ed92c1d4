"""Searches at the sizes of tests: small forests, few resamples, plain plots, models loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from accel.models import loading
from evaluate.statistics import bootstrap
from search.results.plots import style
from search.results.run import Run
from strategies.data_files import whole
from tests.support.copies import copied

RESAMPLES = 24
TREES = 20
DPI = 60
LOAD = loading._load
SHARP = style.SETTINGS["savefig.dpi"]
RENDERED = style.rendered
LOADED: dict[tuple[Any, ...], Any] = {}


def load_once(name: str, source: str, dtype: Any, download: bool, config: Any = None) -> Any:
    """A bundled model read from its files once, and copied from then on."""
    if not source.startswith("zoo:"):
        return LOAD(name, source, dtype, download, config)
    key = (source, dtype)
    if key not in LOADED:
        LOADED[key] = LOAD(name, source, dtype, download, config)
    return copied(LOADED[key])


def plainly(figure: Figure, form: str) -> bytes:
    """A picture in which all is drawn but nothing is moved apart; its vector form is empty."""
    if form == "svg":
        return b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"
    figure.set_layout_engine("none")
    return RENDERED(figure, form)


@pytest.fixture(autouse=True, scope="module")
def light(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sizes of a file's searches; those of one that is marked `full_size` are as a user's."""
    with lightened(request.node.get_closest_marker("full_size") is not None):
        yield


@contextmanager
def lightened(full_size: bool = False) -> Iterator[None]:
    """Searches in the block are `light`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.models.loading._load", load_once)
        # diffusers looks for it in every module of a pipeline, several times in a generation.
        hooks = "diffusers.hooks.group_offloading._get_top_level_group_offload_hook"
        patch.setattr(hooks, lambda _: None)
        patch.setattr("os.fsync", lambda _: None)  # No test takes the power away.
        if not full_size:
            few = partial(bootstrap.paired_bootstrap, repeats=RESAMPLES)
            patch.setattr("evaluate.statistics.bootstrap.paired_bootstrap", few)
            patch.setattr("search.surrogate.gaussian_process.TREES", TREES)
            patch.setattr("search.results.report.importance.TREES", TREES)
            patch.setattr("search.results.report.importance.SHUFFLES", 1)
            patch.setitem(style.SETTINGS, "savefig.dpi", DPI)
            patch.setattr("search.results.plots.style.rendered", plainly)
        yield


def sketch(run: Run, folder: Path, name: str = "pareto.png") -> Path:
    """A line in the place of a run's plot or report."""
    whole.write(f"{name} of {len(run.front())}", folder / name)
    return folder / name


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports whose plot and report are a line each, where neither is looked at."""
    monkeypatch.setattr("search.results.export.pareto.write", sketch)
    monkeypatch.setattr("search.results.export.report.write", partial(sketch, name="report.html"))


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots as a user has them."""
    monkeypatch.setitem(style.SETTINGS, "savefig.dpi", SHARP)
    monkeypatch.setattr("search.results.plots.style.rendered", RENDERED)
