"""What a budget is spent on: the plan, what is paid, what is not drawn or measured again."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accel.profiling import clock
from evaluate.evaluator import read_prompts
from evaluate.extraction import ExtractedFeatures
from evaluate.images.image_store import ImageStore, model_fingerprint, paths_of, write_image
from evaluate.images.prompts import Prompts
from evaluate.speed.timing import time_once
from search import budget as budgets
from search.costs import budget_plan as plan
from search.engine import time_report as times
from search.engine import worker_count as crew
from search.images import shared_cache as shared
from search.images.shared_cache import SharedImages, keys
from search.run_folder import inputs
from search.workers.cost_meter import Meter
from search.workers.executor import Answer
from search.workers.messages import (
    AnyRequest,
    CallTimes,
    EndToEndRequest,
    SampleRequest,
    TimeCallsRequest,
)
from strategies.data_files import whole
from tests.search.costs.test_budget import Paid
from tests.support.runs.engines import MODEL, make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor


def test_shares_of_the_budget() -> None:
    for text in ("30s", "12m", "20m", "20gpuh"):
        budget = budgets.parse_budget(text)
        assert budget.seconds is not None
        for share in np.linspace(0, 0.9, 19):
            most = plan.allowance(budget, share * budget.seconds) / budget.seconds
            assert 0.1 <= most <= 0.25
            assert most + share <= 0.4 or most == pytest.approx(0.1) or share <= 0.15
    assert plan.allowance(budgets.parse_budget("60evals"), 1e9) == float("inf")
    assert [plan.initial_proposals(n) for n in (0, 36, 45, 90, 1000)] == [12, 12, 15, 30, 30]


def test_most_of_a_run_is_proposals_and_initial_strategies_end_after_a_third(
    tmp_path: Path,
) -> None:
    few = {"surrogate": False, "heldout_images": 96, "rungs": [4, 16]}
    engine = make_engine(tmp_path, Paid(2), budget="240s", **few)
    told: list[str] = []
    engine.tell = told.append
    summary = raced(engine)
    paid = times.device(engine.study, engine.config.proposer)
    assert sum(paid.values()) == pytest.approx(engine.study.spent)
    assert paid["initial strategies"] + paid["evolving"] >= 0.6 * 240
    assert paid["scoring"] <= 0.25 * 240 + 2 * engine.executor.longest  # type: ignore[attr-defined]
    assert engine.prepared.plan.evaluations == pytest.approx(summary["evaluations"], rel=0.5)
    assert engine.generation.first <= max(12, engine.prepared.plan.evaluations // 3 + 1)
    bred = [e for e in engine.study.evaluations if e.origin == engine.config.proposer]
    assert min(e.number for e in bred) <= engine.generation.first + 2 * engine.executor.slots
    assert any(f"about {engine.prepared.plan.evaluations} evaluations" in line for line in told)
    assert not any("too little" in line for line in told)
    # Stored keys are those of 0.1.
    assert set(summary["times"]) == {"setting_up", "seeds", "evolving", "scoring"}


def test_too_little_to_evolve_is_said_with_what_is_enough(tmp_path: Path) -> None:
    told: list[str] = []
    engine = make_engine(tmp_path / "few", Paid(), budget="60s", heldout_images=48)
    engine.tell = told.append
    engine.prepare()
    (line,) = [line for line in told if "too little" in line]
    enough = re.search(r"--budget (\w+)", line)
    assert enough is not None
    more = make_engine(tmp_path / "more", Paid(), budget=enough[1], heldout_images=48)
    more.tell = lambda line: pytest.fail(line) if "too little" in line else None
    more.prepare()
    more.evaluate()
    assert len(more.study.evaluations) >= 1.4 * more.generation.first


def test_a_run_that_goes_on_breeds_from_the_proposal_on_that_it_began_with(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="36evals")
    engine.prepare()
    assert engine.generation.first == 12
    engine.evaluate()
    more = make_engine(tmp_path, budget="300evals")
    more.prepare()
    assert more.generation.first == 12


def test_processor_time_is_paid_and_waiting_is_not() -> None:
    busy, idle = Meter(on_cpu=True), Meter(on_cpu=True)
    waited = Meter(on_cpu=False)
    time.sleep(0.2)
    assert waited.seconds() >= 0.2
    assert idle.seconds() < 0.15
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert 0.1 <= busy.seconds() <= waited.seconds()
    assert time_once("cpu", lambda: time.sleep(0.2)) < 0.15
    torch.set_num_threads(2)  # Which share no processor time.
    try:
        assert clock("cpu") is time.perf_counter
    finally:
        torch.set_num_threads(1)
    assert clock("mps") is time.perf_counter


class Wavering(FakeExecutor):
    """Its latencies differ from turn to turn, by less and less or always."""

    def __init__(self, apart: float, calming: bool) -> None:
        super().__init__()
        self.apart, self.calming, self.turns = apart, calming, 0
        self.ends = 0

    def time_calls(self, request: TimeCallsRequest) -> CallTimes:
        times = super().time_calls(request)
        self.turns += 1
        off = 1 + self.apart * (self.turns % 2) / (self.turns**3 if self.calming else 1)
        # Not of the unaccelerated calls: what is slow as a whole changes no speedup.
        kinds = {kind: [off * s if kind else s for s in v] for kind, v in times.kinds.items()}
        return replace(times, kinds=kinds)

    def time_end_to_end(self, request: EndToEndRequest) -> list[float]:
        self.ends += 1
        return super().time_end_to_end(request)


@pytest.mark.parametrize(
    ("apart", "calming", "turns"), [(0.0, False, 3), (0.5, False, 8), (12.0, True, 6)]
)
def test_latency_is_measured_until_it_stands(
    tmp_path: Path, apart: float, calming: bool, turns: int
) -> None:
    executor = Wavering(apart, calming)
    engine = make_engine(tmp_path, executor, budget="12evals")
    engine.prepare()
    assert 3 <= executor.turns <= 8
    assert executor.turns == turns or (calming and 3 < executor.turns < 8)


def test_what_was_timed_is_not_timed_again(tmp_path: Path) -> None:
    executor = Wavering(0.0, False)
    raced(make_engine(tmp_path, executor, budget="30evals"))
    assert executor.ends == 4  # One warms up, and three agree.
    again = Wavering(0.0, False)
    raced(make_engine(tmp_path, again, budget="30evals"))
    assert again.ends == 0


# Unaccelerated images that were drawn before.


class Drawing(FakeExecutor):
    """Keeps its unaccelerated images in the run's folder, as workers do, and reads what is there.

    Args:
        run: the run's folder.
        shade: added to every image.
    """

    def __init__(self, run: Path, shade: int = 0) -> None:
        super().__init__(slots=1)
        self.run, self.shade, self.made = run, shade, 0

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        if "baseline" in request.key:
            self._keep(request)
        return sample

    def _keep(self, request: SampleRequest) -> None:
        prompts = read_prompts(MODEL)[request.split].first(request.stop)
        store = ImageStore(self.run / "unaccelerated", model_fingerprint(MODEL.source))
        place = store.folder_of(MODEL, request.strategy, "cpu")
        whole.make_folder(place)
        for index, path in list(enumerate(paths_of(place, prompts)))[request.start :]:
            if not path.exists():
                self.made += 1
                level = (index * 7 + self.shade) % 256
                write_image(path, np.full((8, 8, 3), level, np.uint8))


def shared_engine(folder: Path, shade: int = 0) -> tuple[Any, Drawing, list[str]]:
    executor, told = Drawing(folder, shade), list[str]()
    engine = make_engine(folder, executor, budget="12evals")
    there = inputs.collect_inputs(engine.config)
    engine.images.reuse(
        SharedImages(engine.config.model, there, engine.unaccelerated, "cpu", folder)
    )
    engine.tell = told.append
    return engine, executor, told


def test_unaccelerated_images_are_kept_between_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "shipped", lambda _: tmp_path / "nothing")
    engine, first, _ = shared_engine(tmp_path / "a")
    expected = raced(engine)
    assert first.made == 16 + 16
    engine, second, told = shared_engine(tmp_path / "b")
    assert raced(engine)["hypervolume"] == expected["hypervolume"]
    assert second.made == 1  # The first prompt, to see that it is alike.
    assert not any("generated again" in line for line in told)
    assert sum(engine.study.named("drawn-").values()) == 1
    # Another machine draws otherwise. From then on the cache has what it draws.
    engine, other, told = shared_engine(tmp_path / "c", shade=9)
    raced(engine)
    assert any("generated again" in line for line in told)
    assert other.made == 16 + 16
    engine, third, told = shared_engine(tmp_path / "d", shade=9)
    raced(engine)
    assert third.made == 1
    assert not any("generated again" in line for line in told)


def test_what_ships_is_of_the_model_and_its_prompts(tmp_path: Path) -> None:
    """The file fits the weights and the first prompts of both splits, and is put into a run."""
    engine = make_engine(tmp_path, heldout_images=384, images=24)
    there = inputs.collect_inputs(engine.config)
    found = SharedImages(MODEL, there, engine.unaccelerated, "cpu", tmp_path / "run")
    assert found.count("search", 0, 24) == 24
    assert found.count("heldout", 0, 384) == 384
    assert found.put("heldout", 3, 10) == list(range(3, 10))
    assert found.put("heldout", 0, 10) == [0, 1, 2]
    other = engine.config.model.model_copy(update={"guidance": 4.0})
    assert (
        SharedImages(other, there, engine.unaccelerated, "cpu", tmp_path).count("heldout", 0, 384)
        == 0
    )
    assert shared.shipped("tiny-sd").stat().st_size < 2**21


def test_keys_are_of_prompt_and_noise() -> None:
    assert len(set(keys(Prompts(("a", "b", "a"), (1, 1, 2))))) == 3
    assert keys(Prompts(("a",), (1,))) == keys(Prompts(("x", "a"), (0, 1)))[1:]


# Workers that slow each other.


class Crowded(FakeExecutor):
    """Workers on one clock that together draw `gain` times what one draws."""

    crowded = True

    def __init__(self, gain: float) -> None:
        super().__init__(slots=2)
        self.gain, self.now = gain, 0.0
        self._asked: deque[AnyRequest] = deque()

    def submit(self, request: AnyRequest) -> None:
        super().submit(request)
        self._asked.append(request)

    def next(self) -> Answer:
        together = len(self._asked)
        self.now += 1.0 if together == 1 and self.last != 2 else 1 / self.gain
        self.last = together
        self._asked.popleft()
        return super().next()

    last = 0


@pytest.mark.parametrize(("gain", "used"), [(1.0, 1), (1.1, 1), (1.4, 2), (2.0, 2)])
def test_as_many_workers_are_used_as_draw_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float, used: int
) -> None:
    executor = Crowded(gain)
    engine = make_engine(tmp_path, executor, budget="12evals")
    told: list[str] = []
    engine.tell = told.append
    monkeypatch.setattr(crew, "now", lambda: executor.now)
    engine.prepare()
    assert executor.most == used
    assert any(f"2 workers generate {gain:.1f} times" in line for line in told)
