"""The gate: what is not finite or no image is never recorded, ranked or exported."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from evaluate import Evaluator
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.images import generation
from evaluate.images.appearance import appearance_of
from evaluate.statistics.gaussian import ScoreError
from search.engine.search import Search
from search.errors import SearchError
from search.images import feature_cache as samples
from search.study import failures
from search.study import score_checks as gate
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from search.study.study import Study
from search.workers.executor import InProcessExecutor
from search.workers.messages import SampleRequest
from search.workers.worker import Worker
from strategies import Strategy, StrategyError
from tests.support.runs.engines import MODEL, PIPE, make_engine
from tests.support.runs.fake_executor import FakeExecutor, make_sample
from tests.support.runs.faulty_executor import KINDS, Faulty

FEW: dict[str, Any] = {
    "proposer": "random",
    "surrogate": False,
    "seeds": ["fewer-steps"],
    "images": 8,
    "heldout_images": 8,
    "export": 6,
    "budget": "24evals",
    "objectives": ["psnr", "latency_s"],
}
FEW_STEPS = MODEL.model_copy(update={"steps": 4})
NUMBERS = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1.0]))


def finish(engine: Search) -> dict[str, Any]:
    """Score the finalists and write the strategy files and tables, without pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.results.plots.pareto.write", lambda *_: None)
        patch.setattr("search.results.report.write", lambda *_: None)
        return engine.export(engine.finish())


def written(folder: Path) -> dict[str, Any]:
    """The exported files by name, without the name of their run."""
    found = {one.name: json.loads(one.read_text()) for one in (folder / "strategies").iterdir()}
    for strategy in found.values():
        del strategy["provenance"]["study"]
    return found


def at_random(seed: int, share: float) -> Any:
    """Faults of a share of the strategies at each place, the same ones each time."""

    def fault(strategy: Strategy, where: str) -> str:
        rng = random.Random(f"{seed} {where} {strategy.digest}")
        return rng.choice(KINDS) if rng.random() < share else ""

    return fault


def same_as_of_the_sound_ones_alone(folder: Path, seed: int, share: float) -> None:
    faults = at_random(seed, share)
    engine = make_engine(folder / "faulty", Faulty(faults), **FEW)
    engine.prepare()
    try:
        engine.evaluate()
        summary = finish(engine)
    except SearchError:
        assume(False)
    rows = engine.study.evaluations
    places = ("search", "heldout", "end_to_end")
    sound = [e for e in rows if not any(faults(e.strategy, place) for place in places)]
    assert {e.number for e in rows if not e.succeeded} == {
        e.number for e in rows if faults(e.strategy, "search")
    }
    failed = failures.finalists(engine.study)
    assume(len(failed) <= 2 * engine.config.export)
    alone = make_engine(folder / "alone", FakeExecutor(slots=1), **FEW)
    alone.prepare()
    for e in sound:
        alone.study.add(e)
    Measurements(alone.study).keep_finished_budget(alone.config.budget)
    expected = finish(alone)
    assert written(folder / "faulty") == written(folder / "alone")
    assert summary["front"] == expected["front"]
    assert expected["failures"] == []
    assert {one["digest"] for one in summary["failures"]} == failed | {
        e.strategy.digest for e in rows if not e.succeeded
    }


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.3))
@example(seed=1, share=0.25)
def test_the_front_and_its_files_are_those_of_the_sound_candidates(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float
) -> None:
    same_as_of_the_sound_ones_alone(tmp_path_factory.mktemp("gate"), seed, share)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.4))
def test_of_many_more_candidates(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float
) -> None:
    same_as_of_the_sound_ones_alone(tmp_path_factory.mktemp("gate"), seed, share)


def evaluation(scores: dict[str, float], objectives: tuple[float, ...]) -> Evaluation:
    strategy = Strategy.create(family="unet", scheduler="DDIMScheduler", steps=4, calls=4)
    return Evaluation(0, "grid", (0,), strategy, scores, "", 1.0, objectives, 0.0, 8)


@given(st.dictionaries(st.sampled_from(["psnr", "fd_base", "mine"]), NUMBERS), NUMBERS)
def test_an_evaluation_passes_only_if_all_its_figures_are_finite(
    scores: dict[str, float], loss: float
) -> None:
    one = evaluation(scores, (loss,))
    passed = gate.evaluation(one)
    if all(math.isfinite(value) for value in (*scores.values(), loss)):
        assert passed is one
    else:
        assert not passed.succeeded
        assert (passed.scores, passed.objectives) == ({}, ())
        assert "not a finite number" in passed.error


def test_a_study_keeps_and_reads_no_figure_that_is_not_finite(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.journal")
    study.add(evaluation({"psnr": math.inf}, (-math.inf, 1.0)))
    for one in (study, Study(tmp_path / "study.journal")):
        (row,) = one.evaluations
        assert row.error == "psnr is inf and not a finite number"
        assert not row.feasible


def looked(count: int, *rows: list[int]) -> ExtractedFeatures:
    """A sample of images that look so, the last one repeated."""
    looks = np.array([*rows, *[rows[-1]] * (count - len(rows))], np.int32)
    return ExtractedFeatures(count, looks=looks)


PICTURE, BLACK, WHITE = [64, 64, 200, 90, 90, 90], [64, 64, 0, 0, 0, 0], [64, 64, 0, 255, 255, 255]


def test_how_an_image_looks() -> None:
    image = np.full((4, 6, 3), 7, np.uint8)
    assert appearance_of(image) == [4, 6, 0, 7, 7, 7]
    image[0, 0, 1] = 255
    assert appearance_of(image)[:3] == [4, 6, 248]


@pytest.mark.parametrize("row", [BLACK, WHITE])
def test_one_lost_image_makes_a_candidate_infeasible(row: list[int]) -> None:
    with pytest.raises(ScoreError, match=r"1 of 4 images are of one colour \((black|white)\)"):
        gate.check_images(looked(4, PICTURE, row, PICTURE), looked(8, PICTURE))
    gate.check_images(looked(4, PICTURE), looked(8, PICTURE))


def test_a_plain_image_that_was_asked_for_is_sound() -> None:
    nearly = [64, 64, 3, 254, 254, 255]
    gate.check_images(looked(4, PICTURE, WHITE, PICTURE), looked(4, PICTURE, nearly, PICTURE))
    with pytest.raises(ScoreError, match="black"):
        gate.check_images(looked(4, PICTURE, BLACK, PICTURE), looked(4, PICTURE, WHITE, PICTURE))


def test_images_of_another_size_are_refused() -> None:
    other = [32, 64, *PICTURE[2:]]
    with pytest.raises(ScoreError, match="images are 32x64, the unaccelerated ones 64x64"):
        gate.check_images(looked(4, PICTURE, other), looked(4, PICTURE))


class Unaccelerated(FakeExecutor):
    """Fakes whose unaccelerated images are changed."""

    def __init__(self, change: Any, split: str = "search") -> None:
        super().__init__()
        self.change, self.split = change, split

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        changed = request.key.startswith(f"baseline-{self.split}-")
        return self.change(sample) if changed else sample


def black(one: ExtractedFeatures) -> ExtractedFeatures:
    return replace(one, looks=looked(one.count, BLACK).looks)


def one_black(one: ExtractedFeatures) -> ExtractedFeatures:
    return replace(one, looks=looked(one.count, BLACK, PICTURE).looks)


def nan(one: ExtractedFeatures) -> ExtractedFeatures:
    return replace(one, paired={"psnr": one.paired["psnr"] * np.nan})


@pytest.mark.parametrize(
    ("change", "said"),
    [(black, "16 of 16 images of the unaccelerated model are of one colour"), (nan, "psnr is nan")],
)
def test_an_unaccelerated_model_that_is_broken_stops_the_search(
    tmp_path: Path, change: Any, said: str
) -> None:
    executor = Unaccelerated(change)
    engine = make_engine(tmp_path, executor)
    with pytest.raises(StrategyError, match=said) as error:
        engine.prepare()
    assert "VAE in half precision" in str(error.value)
    assert "safety checker" in str(error.value)
    assert "\n" not in str(error.value)
    assert executor.seen.total() == 2  # The unaccelerated images, a part for each worker.
    assert engine.study.evaluations == []


def test_one_plain_unaccelerated_image_does_not(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, Unaccelerated(one_black))
    engine.prepare()
    assert engine.prepared.plan  # It went on to what the search needs.


def test_on_held_out_prompts_it_stops_before_anything_is_exported(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, Unaccelerated(nan, "heldout"), budget="8evals")
    engine.prepare()
    engine.evaluate()
    with pytest.raises(StrategyError, match="unaccelerated model cannot be scored: psnr is nan"):
        engine.finish()
    assert not (tmp_path / "strategies").exists()


def worker(kind: type[Worker] = Worker) -> InProcessExecutor:
    return InProcessExecutor(lambda: kind(MODEL.model_dump(), "cpu", 1))


def test_a_real_pipeline_repeats_and_one_with_noise_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.runs.engines.MODEL", FEW_STEPS)
    engine = make_engine(tmp_path / "good", worker())  # type: ignore[arg-type]
    monkeypatch.setattr("search.images.unaccelerated.UnacceleratedImages.sample", stop)
    with pytest.raises(KeyboardInterrupt):
        engine.prepare()
    assert engine.study.noted("repeats") == 0.0
    old = generation.run_pipeline

    def noisy(*arguments: Any) -> Any:
        images = old(*arguments)
        return (images + 0.1 * torch.randn_like(images)).clamp(0, 1)

    monkeypatch.setattr(generation, "run_pipeline", noisy)
    engine = make_engine(tmp_path / "bad", worker())  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match="another image each time from the same prompt"):
        engine.prepare()
    assert engine.study.noted("repeats") is None


def stop(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_looks_come_with_every_drawn_image(tmp_path: Path) -> None:
    evaluator = Evaluator(FEW_STEPS, "cpu", PIPE)
    chosen = evaluator.prompts["search"].first(2)
    found = evaluator.sample(evaluator.unaccelerated, chosen, ExtractionSpec())
    assert found.looks is not None
    assert found.looks[:, :2].tolist() == [[MODEL.height, MODEL.width]] * 2
    assert (found.looks[:, 2] > 0).all()
    # A candidate's are kept with its sample, also where it goes on to more images.
    samples.write(found, tmp_path / "one.safetensors")
    again = samples.read_features(tmp_path / "one.safetensors", 2, ExtractionSpec())
    assert again is not None
    assert again.looks is not None
    assert np.array_equal(again.looks, found.looks)
    assert again.concatenate(found).looks.shape == (4, 6)  # type: ignore[union-attr]


def test_the_fakes_draw_pictures() -> None:
    strategy = Strategy.create(family="unet", scheduler="DDIMScheduler", steps=4, calls=4)
    found = make_sample(strategy, "search", 8)
    assert found.looks is not None
    assert (found.looks[:, 2] > 0).all()
