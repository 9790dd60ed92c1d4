"""Two processes that share a network's tokens follow one strategy as a single process does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.parallel import context, processes

CHECKED = "tests.support.parallel.context"
FEW = ("flux", "qwen", "wan22")
MANY = ("flux2", "flux2-klein", "wan", "wan-image", "ltx")


@pytest.fixture(scope="module", params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each of the two processes found, by pipeline."""
    return processes.run(CHECKED, tmp_path_factory.mktemp("two"), *request.param)


def test_images_are_those_of_one_process(results: Any) -> None:
    for found in results:
        for name, row in found.items():
            assert row["unaccelerated"] < 1e-5, name
            assert row["applied before"] < 1e-5, name
            for case, distance in row["together"].items():
                assert distance < 1e-5, (name, case)
                assert row["acts"][case] > 1e-3, (name, case)


def test_both_processes_make_the_same_decisions(results: Any) -> None:
    one, other = results
    for name, row in one.items():
        assert row["did"] == other[name]["did"], name
        assert all(any(depth != "full" or reused for depth, reused in one) for one in row["did"])


def test_nothing_of_a_generation_is_left(results: Any) -> None:
    for found in results:
        for name, row in found.items():
            assert all(row["again"]), name
            assert row["removed"], name


def test_methods_that_need_all_tokens_are_refused(results: Any) -> None:
    for found in results:
        for name, row in found.items():
            assert {*row["refused"]} >= {*context.TOKENS}, name
            for error in row["refused"].values():
                assert "enable_parallelism spreads them over several processes" in error
        if "flux" in found:
            assert {"cat, applied before", "paradigms"} <= {*found["flux"]["refused"]}


def test_no_process_is_left_where_one_fails(tmp_path: Path) -> None:
    with pytest.raises(processes.ProcessError, match="KeyError: 'of the second process'"):
        processes.run("tests.support.parallel.failing", tmp_path)
    for rank in range(processes.COUNT):
        process = int((tmp_path / f"{rank}.pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
