"""The budget is kept whatever scoring costs, and `--dry-run` tells what it will buy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.costs.cost_prediction import CostPrediction
from search.workers.messages import (
    A,
    CountMacsRequest,
    EndToEndRequest,
    RepeatRequest,
    Request,
    Response,
    SampleRequest,
    TimeCallsRequest,
)
from strategies import StrategyError
from tests.support.runs.engines import make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor, latency


class Paid(FakeExecutor):
    """Draws cost what they do: images times latency, and on held-out prompts `drift` times that."""

    def __init__(self, slots: int = 1, drift: float = 1.0) -> None:
        super().__init__(slots)
        self.drift, self.longest = drift, 0.0

    def answer(self, request: Request[A]) -> Response[A]:
        outcome = super().answer(request)
        if isinstance(request, SampleRequest):
            seconds = request.count * latency(request.strategy)
            seconds *= self.drift if request.split == "heldout" else 1.0
            self.longest = max(self.longest, seconds)
        elif isinstance(request, RepeatRequest):
            seconds = latency(request.strategy)
        else:
            assert isinstance(request, TimeCallsRequest | CountMacsRequest | EndToEndRequest)
            seconds = sum(map(latency, request.strategies))
        return replace(outcome, seconds=seconds)


@pytest.mark.parametrize(
    ("slots", "drift"),
    [(4, 3.0), *(pytest.param(s, d, marks=pytest.mark.slow) for s in (1, 4) for d in (0.5, 1, 3))],
)
def test_the_budget_is_kept_within_an_evaluation_per_worker(
    tmp_path: Path, slots: int, drift: float
) -> None:
    executor = Paid(slots, drift)
    engine = make_engine(tmp_path, executor, budget="250s", heldout_images=48)
    summary = raced(engine)
    assert engine.study.spent <= 250 + slots * executor.longest
    assert engine.study.spent >= 0.8 * 250 if drift >= 1 else summary["evaluations"] > 20
    if drift == 3.0:  # There was no room for all, and the summary says so.
        assert summary["left_out_for_budget"] > 0
        assert summary["front"] > 0


def test_a_budget_too_small_for_anything_says_what_is_enough(tmp_path: Path) -> None:
    executor = Paid()
    engine = make_engine(tmp_path, executor, budget="1s", heldout_images=48)
    with pytest.raises(
        StrategyError, match=r"too small for one evaluation.* --budget \d+s"
    ) as told:
        raced(engine)
    spent = engine.study.spent
    enough = re.search(r"--budget (\d+s)", str(told.value))
    assert enough is not None
    again = make_engine(tmp_path, executor, budget=enough[1], heldout_images=48)
    assert raced(again)["evaluations"] > 0
    assert again.study.spent > spent


FLAGS: list[dict[str, Any]] = [
    {"budget": "90evals"},
    {"budget": "500s", "rungs": [8, 16]},
    {"budget": "90evals", "sensitivity": 4},
]


@pytest.mark.parametrize(
    "flags",
    [{"budget": "400s"}, *(pytest.param(one, marks=pytest.mark.slow) for one in FLAGS)],
    ids=str,
)
def test_a_dry_run_predicts_the_real_one(tmp_path: Path, flags: dict[str, Any]) -> None:
    flags = {"surrogate": False} | flags  # It seeks out what this fake is good at, which is cheap.
    dry = Paid(2)
    foretold: CostPrediction = make_engine(tmp_path / "dry", dry, **flags).predict()
    assert sum(dry.drawn.values()) <= 2 * 16
    engine = make_engine(tmp_path / "real", Paid(2), **flags)
    summary = raced(engine)
    assert foretold.total == pytest.approx(engine.study.spent, rel=0.2)
    found = {n: sum(e.images == n for e in engine.study.evaluations) for n in engine.config.ladder}
    assert sum(foretold.evaluations.values()) == pytest.approx(summary["evaluations"], rel=0.2)
    for images, count in found.items():
        assert foretold.evaluations[images] == pytest.approx(count, rel=0.25)
    assert foretold.wall < foretold.total
    assert any(
        f"{foretold.evaluations[engine.config.ladder[0]]} on" in line for line in foretold.lines()
    )
