"""Shared by all tests: one thread, no progress bars, a fresh tiny pipeline."""

from __future__ import annotations

import gc
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from evaluate.networks.weight_files import VARIABLE, cache_folder

WEIGHTS = cache_folder() / "weights"  # Of published networks, where somebody has them.
COUNT = itertools.count()
# The same examples each time: a green run stays green. `--hypothesis-profile random` hunts.
# A slow machine is no fault.
ANYWHERE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", ANYWHERE, derandomize=True)
settings.register_profile("random", ANYWHERE, max_examples=1000)
settings.load_profile("fixed")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # As a shell has it for what is behind `&`.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--law-cases",
        metavar="MODULE",
        help="module with NEUTRAL and STRONG of a plug-in's methods, which the laws run on",
    )


def pytest_configure(config: pytest.Config) -> None:
    """One thread and no progress bars in processes that run tests.

    The one that only hands tests out to others imports no libraries: it would take seconds before
    the others start, and print what these say when they are imported.
    """
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not hands_out:
        gc.disable()  # Until everything is imported: there is nothing to collect.
        import torch

        from accel.models.loading import quiet

        torch.set_num_threads(1)
        quiet()


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def frozen() -> None:
    """Objects of libraries and of earlier files are left out of every later garbage collection.

    There are millions of them, and looking at all took seconds for each `gc.collect()`.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def pipe() -> Any:
    from tests.support.pipelines.unet_pipelines import build

    return build()


@pytest.fixture
def few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency is measured in two turns and one repetition, where this process measures it."""
    monkeypatch.setattr("search.costs.measurement.LATENCY_TABLE_PASSES", 2)
    monkeypatch.setattr("search.finalists.end_to_end.END_TO_END_REPEATS", 1)


@pytest.fixture(autouse=True, scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own: fake workers draw no images that anybody may use."""
    before = os.environ.get(VARIABLE)
    folder = _cache(tmp_path_factory.mktemp("caches"))
    os.environ[VARIABLE] = str(folder)
    yield folder
    if before is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = before


@pytest.fixture(autouse=True)
def own_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it is from another test."""
    monkeypatch.setenv(VARIABLE, str(_cache(session_cache.parent)))


def _cache(folder: Path) -> Path:
    """A new cache folder; its number is counted, which `mktemp` would look for in thousands."""
    cache = folder / str(next(COUNT))
    cache.mkdir()
    if WEIGHTS.is_dir():
        (cache / "weights").symlink_to(WEIGHTS)
    return cache
