"""Cost of a batch, where the unaccelerated images were there and none had to be generated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search.images import shared_cache as shared
from search.images.shared_cache import SharedImages
from search.run_folder import inputs
from search.study.measurements import Measurements
from search.workers.messages import A, Request, Response, SampleRequest
from tests.search.costs.test_budget_plan import Drawing
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import latency


class Batched(Drawing):
    """An image alone pays for warming up; an image of a batch takes half of its latency."""

    asked = 0
    broken = False

    def answer(self, request: Request[A]) -> Response[A]:
        outcome = super().answer(request)
        if not isinstance(request, SampleRequest):
            return outcome
        if request.key == "batch":
            self.asked += 1
            if self.broken:
                return Response(None, "out of memory", 1.0)
        share = 6.0 if request.count == 1 else 0.5 * request.count
        return replace(outcome, seconds=share * latency(request.strategy))


def started(folder: Path, fails: bool = False) -> tuple[Measurements, float, Batched]:
    """Measurements of a run before its proposals, the seconds of ten images, and its executor."""
    executor = Batched(folder, 0)
    executor.broken = fails
    engine = make_engine(folder, executor, budget="12evals")
    there = inputs.collect_inputs(engine.config)
    engine.images.reuse(
        SharedImages(engine.config.model, there, engine.unaccelerated, "cpu", folder)
    )
    engine.prepare()
    return Measurements(engine.study), engine.prepared.spending.predict_generation(1, 10), executor


def test_a_batch_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "shipped", lambda _: tmp_path / "nothing")
    first, ten, executor = started(tmp_path / "a")
    assert first.batch_cost is None  # It has generated the unaccelerated images itself.
    assert ten == pytest.approx(5, rel=0.3)
    second, ten, executor = started(tmp_path / "b")
    assert ten == pytest.approx(5)
    cost = second.batch_cost
    assert cost is not None
    assert cost.seconds == pytest.approx(0.5 * cost.images * cost.latency)
    assert second.seconds >= cost.seconds
    again, ten, executor = started(tmp_path / "b")
    assert (again.batch_cost, ten, executor.asked) == (cost, pytest.approx(5), 0)


def test_a_batch_that_fails_leaves_the_image_that_was_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "shipped", lambda _: tmp_path / "nothing")
    started(tmp_path / "a")
    measured, ten, executor = started(tmp_path / "b", fails=True)
    assert (executor.asked, measured.batch_cost) == (1, None)
    assert ten > 20  # What was generated alone is all that is known.
