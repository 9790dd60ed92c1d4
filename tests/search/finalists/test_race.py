"""The final scoring as a race: who goes on, who stops, and who may be called without loss."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evaluate.extraction import ExtractedFeatures
from evaluate.statistics.bootstrap import interval
from evaluate.statistics.means import mean_of
from evaluate.verdicts import judge_changes
from search.costs.heldout_rungs import expected, levels
from search.finalists import distance_prior
from search.finalists import lossless_probability as promise
from search.finalists.standings import Standings
from search.results import export, finalist
from search.results.run import Run
from search.study.finalist_notes import HELDOUT
from search.workers.messages import SampleRequest
from tests.search.costs.test_budget import Paid
from tests.support.runs.engines import make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor

IMAGES = 96
SETS: dict[str, Any] = {"heldout_images": IMAGES, "budget": "40evals", "surrogate": False}


def test_sets_grow_by_about_two_and_the_last_is_what_is_asked_for() -> None:
    assert levels(384) == (24, 48, 96, 192, 384)
    assert levels(16) == (16,)
    for images in range(2, 400):
        found = levels(images)
        assert found[-1] == images
        assert found[0] >= min(24, images)
        assert all(a < b <= 2 * a for a, b in itertools.pairwise(found))
    assert expected(5, 16) == 5 * 16
    assert expected(16, 384) < 16 * 384 / 2


def test_what_is_beaten_stops_early_and_all_others_are_compared_on_the_same_images(
    tmp_path: Path,
) -> None:
    engine = make_engine(tmp_path, Worse(), **SETS)
    raced(engine)
    finals = finalist.finals(engine.study)
    common = {final.images for final in finalist.comparable_finalists(finals)}
    assert len(common) == 1
    assert max(common) == IMAGES  # Evaluations are counted, and nothing else is bounded.
    early = [final for final in finals if final.images < IMAGES]
    assert early
    for final in early:  # Another of its kind is as fast and nearer, and it is on no front.
        assert final not in finalist.front(finals)
        baselines = [one for one in finalist.comparable_finalists(finals) if one.role == final.role]
        assert any(
            one.scores["latency_table_s"] <= final.scores["latency_table_s"] for one in baselines
        )
    drawn = engine.executor.drawn["heldout"]  # type: ignore[attr-defined]
    assert drawn < IMAGES * len(finals)
    run = Run(tmp_path, engine.config, engine.study, finals)
    table = export.export_table(run, finals, finalist.front(finals))
    assert set(table.images[table.on_front]) == {IMAGES}
    assert set(table.images) > {IMAGES}
    assert set(table.kind) >= {"unaccelerated", "baseline"}
    assert set(table.kind) <= {"unaccelerated", "baseline", "seed", "found"}


class Worse(FakeExecutor):
    """On held-out prompts a third of all strategies is much worse than the search has seen."""

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        chosen = int(request.strategy.digest, 16) % 3 == 0 and "baseline" not in request.key
        if request.split == "heldout" and chosen:
            features = sample.features["bundled"]
            noise = np.random.default_rng([request.start, 7]).normal(size=features.shape)
            features += 2 * noise.astype(np.float32)
        return sample


class StoppedError(Exception):
    """The end of a process."""


def test_a_race_that_was_stopped_goes_on_and_draws_no_part_twice(tmp_path: Path) -> None:
    whole = make_engine(tmp_path / "whole", Worse(slots=1), **SETS)
    expected_summary = raced(whole)
    drawn = whole.executor.drawn["heldout"]  # type: ignore[attr-defined]
    spent = whole.study.spent

    class Stopping(Worse):
        left = 15

        def sample(self, request: SampleRequest) -> ExtractedFeatures:
            if request.split == "heldout":
                self.left -= 1
                if self.left < 0:
                    raise StoppedError
            return super().sample(request)

    folder, total = tmp_path / "stopped", 0
    for _ in range(200):
        executor = Stopping(slots=1)
        engine = make_engine(folder, executor, **SETS)
        try:
            found = raced(engine)
        except StoppedError:
            total += executor.drawn["heldout"]
            continue
        total += executor.drawn["heldout"]
        break
    assert found["hypervolume"] == expected_summary["hypervolume"]
    assert found["full_images"] == expected_summary["full_images"]
    assert total == drawn
    assert engine.study.spent == pytest.approx(spent)


def test_a_bounded_race_keeps_to_its_share_and_still_compares_equal_images(tmp_path: Path) -> None:
    few = {"surrogate": False, "heldout_images": 384}
    engine = make_engine(tmp_path, Paid(2), budget="400s", rungs=[4, 16], **few)
    engine.prepare()
    engine.evaluate()
    before = engine.study.spent
    finals = engine.finish().finals
    taken = engine.study.spent - before
    assert taken <= 0.25 * 400 + 2 * engine.executor.longest  # type: ignore[attr-defined]
    assert len(engine.study.evaluations) > 30
    assert len(finalist.comparable_finalists(finals)) > 2
    # No strategy passes on fewer images than were planned beforehand.
    run = Run(engine.folder, engine.config, engine.study, finals)
    for final in finals:
        verdict = run.verdict(final)
        if verdict is not None and verdict.answer == "yes":
            assert final.judged == final.full


def test_distances_of_settled_strategies_tell_a_chance() -> None:
    passed, lost = [[2.0], [3.0]], [[30.0], [90.0], [2.5]]
    chances = [
        distance_prior.no_loss_chance([d], passed, lost) for d in (1.0, 3.0, 5.0, 9.5, 20.0, 30.0)
    ]
    assert chances == sorted(chances, reverse=True)
    assert chances[:2] == [distance_prior.SURE] * 2
    assert chances[3] == pytest.approx(distance_prior.SURE / 2, abs=0.01)  # By the logarithm.
    assert chances[-1] == 0
    assert distance_prior.no_loss_chance([40.0, 1.0], [[3.0, 5.0]], [[30.0, 9.0]]) == chances[-1]
    assert (
        distance_prior.no_loss_chance([5.0], passed, [])
        == distance_prior.no_loss_chance([5.0], [], lost)
        == 1
    )
    assert distance_prior.no_loss_chance([5.0], [[5.0]], [[4.0]]) == distance_prior.SURE
    assert distance_prior.no_loss_chance([6.0], [[5.0]], [[4.0]]) == 0.5


def test_finalists_of_former_versions_are_compared_on_the_images_they_had(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, **SETS | {"heldout_images": 48})
    raced(engine)
    for digest, note in engine.study.named(HELDOUT).items():
        kept = {key: note[key] for key in ("error", "scores", "intervals")}
        last = note["levels"].get("48")
        if last is None:
            kept = {"error": "", "scores": note["scores"], "intervals": note["intervals"]}
        engine.study.note(f"{HELDOUT}{digest}", kept)
    again = make_engine(tmp_path, **SETS | {"heldout_images": 48, "budget": "50evals"})
    raced(again)
    assert {final.images for final in finalist.finals(again.study)} == {48}


def test_looking_early_lets_no_more_strategies_pass() -> None:
    """Of strategies with a loss of twice the margin hardly one passes, whoever was stopped when."""
    rng, full, margin = np.random.default_rng(0), 384, 0.02
    margins = {"right_shape": margin}
    passed = {0.0: 0, 0.04: 0}
    for loss in passed:
        for _ in range(60):
            values = -(rng.random(full) < loss).astype(float)
            for images in levels(full):
                found = interval(mean_of(values[:images], (-1.0, 1.0)), images)
                changes = {"right_shape": found.to_json()}
                answer = judge_changes(changes, margins, images, full).answer
                assert images == full or answer != "yes"
                if promise.pass_probability(changes, margins, images, full) < promise.MIN_CHANCE:
                    break
                passed[loss] += images == full and answer == "yes"
    assert passed[0.0] == 60
    assert passed[0.04] <= 3  # By chance at most 2.5 %.


def test_the_chance_of_no_loss() -> None:
    margins = {"right_shape": 0.02, "fd_real": 6.0}
    none = {"right_shape": [0.0, -0.1, 0.1], "fd_real": [0.0, -3.0, 3.0]}
    assert promise.images_to_pass(margins) == 189
    assert promise.images_to_pass({}) == promise.images_to_pass({"fid": None}) == inf
    good = promise.pass_probability(none, margins, 48, 384)
    worse = promise.pass_probability(none | {"right_shape": [-0.02, -0.1, 0.06]}, margins, 48, 384)
    assert 1 > good > worse > 0
    lost = none | {"right_shape": [-0.2, -0.3, -0.1]}
    assert promise.pass_probability(lost, margins, 48, 384) == 0
    assert promise.pass_probability({"fd_real": none["fd_real"]}, margins, 48, 384) == 0
    assert (
        promise.pass_probability(none | {"right_shape": [0.0, -0.01, 0.01]}, margins, 384, 384) == 1
    )


def test_the_full_set_is_fixed_before_anything_is_drawn(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, **SETS)
    raced(engine)
    noted = engine.study.noted("race")
    assert noted["full"] == IMAGES
    rows = finalist.finals(engine.study)
    assert {final.full for final in rows} == {IMAGES}
    assert replace(rows[0], judged=24).judged < rows[0].full


def standings(latencies: dict[str, float], baselines: set[str], ceiling: float) -> Standings:
    """Finalists of which only the latencies are known; an image takes as long as its latency."""
    rows: Any = {
        name: SimpleNamespace(scores={"latency_s": one}) for name, one in latencies.items()
    }
    accounts: Any = SimpleNamespace(
        predict_generation=lambda seconds, images: seconds * images,
        predict_timing=lambda _: 0,
        unaccelerated_latency=1.0,
    )
    study: Any = SimpleNamespace(spent=0.0, noted=lambda _: {}, study=None)
    images: Any = SimpleNamespace(missing_images=lambda *_: 0)
    unused: Any = None
    made = Standings(
        rows, baselines, (24, 48, 96, 192, 384), ceiling, study, unused, unused, accounts, images,
        unused,
    )  # fmt: skip
    made.sound = lambda: []  # type: ignore[method-assign]
    return made


def test_the_full_set_follows_from_finalists_that_could_win() -> None:
    """Those slower than the usual baseline do not count, however many there are."""
    baselines = {"five steps": 0.2, "ten steps": 0.4, "twenty steps": 0.8}
    own = {"fast": 0.1} | {f"slow {i}": 0.5 for i in range(9)}
    made = standings(own | baselines, set(baselines), ceiling=2 * 0.1 * 360 + 1)
    assert made.fits(384)
    assert not made.fits(384, {"five steps"})  # One of these is followed, too.
    more = standings(own | baselines, set(baselines), ceiling=2 * 0.3 * 360 + 1)
    assert more.fits(384, {"five steps"})
    only_slow = standings({"slow": 0.5} | baselines, set(baselines), ceiling=2 * 0.5 * 360 - 1)
    assert not only_slow.fits(384)
    assert only_slow.fits(192)
