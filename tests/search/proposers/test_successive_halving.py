"""Rungs: who is promoted, who is given up, and that no image is drawn twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluate.evaluator import real_images
from evaluate.extraction import ExtractedFeatures
from evaluate.metrics import select_metrics
from evaluate.scoring import Scoring
from search import config
from search.initial.joint import JOINT
from search.proposers import successive_halving as rungs
from search.results import export
from search.study.history import History
from search.workers.messages import SampleRequest
from strategies import StrategyError, dump
from tests.support.proposals import _distinct, scored
from tests.support.runs.engines import make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor, make_sample

SCORING = Scoring(tuple(select_metrics(["fd", "psnr"], "shapes")), {"real": real_images()})
GENOME = (0, 0, *(0,) * 16)
_CANDIDATES = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2))


def row(number: int, quality: float, seconds: float, images: int = 8, **changes: Any) -> Any:
    changes = {"objectives": (quality, seconds), "images": images} | changes
    return _distinct(scored(number, GENOME, **changes))


def test_the_best_third_goes_on_front_first() -> None:
    points = [(1, 9), (5, 5), (9, 1), (6, 6), (9, 9), (8, 8), (7, 9)]
    rows = [row(i, float(one), float(two)) for i, (one, two) in enumerate(points)]
    taken: set[str] = set()
    history, promotions = History(), rungs.Promotions((8, 24))
    assert promotions.next(history.read(rows[:2]), taken) is None  # Not yet three.
    history, chosen = history.read(rows), list[int]()
    while (found := promotions.next(history, taken)) is not None:
        assert found[1] == 24
        chosen.append(found[0])
        taken.add(rungs.promotion_key(history.good[found[0]].strategy.digest, 24))
    assert chosen == [0, 2]  # Two of seven: the ends of the front are the loneliest.
    rows.append(row(7, 0.5, 0.5, violation=1.0))
    assert promotions.next(history.read(rows), taken) is None


def test_chosen_strategies_are_promoted_at_once_unless_another_one_dominates_them() -> None:
    rows = [row(0, 5.0, 5.0), row(1, 1.0, 9.0), row(2, 6.0, 6.0)]
    digests = {one.strategy.digest for one in rows[1:]}
    history, promotions, taken = History().read(rows), rungs.Promotions((8, 24, 96)), set[str]()
    found = promotions.at_once(history, taken, digests)
    assert found == (1, 24)
    taken.add(rungs.promotion_key(rows[1].strategy.digest, 24))
    assert promotions.at_once(history, taken, digests) is None  # The third one is dominated.
    assert promotions.at_once(history, taken, ()) is None
    rows.append(replace(rows[1], number=3, images=24))
    assert promotions.at_once(history.read(rows), taken, digests) == (3, 96)
    taken.add(rungs.promotion_key(rows[1].strategy.digest, 96))
    assert promotions.at_once(history, taken, digests) is None
    # They count as promoted: of four, the best third has none left.
    assert promotions.next(history, taken) is None


def test_higher_rungs_are_filled_first() -> None:
    low = [row(i, 1.0 + i, 9.0 - i) for i in range(6)]
    high = [row(i, 1.0 + i, 9.0 - i, 24) for i in range(6, 9)]
    found = rungs.Promotions((8, 24, 96)).next(History().read([*low, *high]), set())
    assert found is not None
    assert found[0] >= 6
    assert found[1] == 96


def test_what_is_beaten_beyond_doubt_stops() -> None:
    noise = np.random.default_rng(0).normal(size=rungs.RESAMPLES)
    better, worse = tuple(1.0 + noise), tuple(1.2 + noise)  # Paired, the gap is certain.
    unsure = tuple(1.2 + np.random.default_rng(1).normal(size=rungs.RESAMPLES))
    # All but the first are on the same front, and there is room for a third of 12.
    rows = [
        row(0, 1.0, 5.0, resampled_losses=(better, ())),
        row(1, 1.2, 5.0, resampled_losses=(worse, ())),
    ]
    rows += [
        row(2, 1.2, 5.0, resampled_losses=(unsure, ())),
        row(3, 1.2, 4.9, resampled_losses=(worse, ())),
    ]
    rows += [row(i, 9.0, 9.0 + i, resampled_losses=(tuple(9.0 + noise), ())) for i in range(4, 15)]
    history, promotions, taken, chosen = (
        History().read(rows),
        rungs.Promotions((8, 24)),
        set[str](),
        [],
    )
    while (found := promotions.next(history, taken)) is not None:
        chosen.append(found[0])
        taken.add(rungs.promotion_key(history.good[found[0]].strategy.digest, 24))
    assert sorted(chosen) == [0, 2, 3]


@given(st.lists(_CANDIDATES, max_size=40), st.integers(0, 2**16))
def test_what_promotions_keep_changes_nothing(
    points: list[tuple[int, int, int]], seed: int
) -> None:
    """Asked after every evaluation, and afresh, the same are promoted."""
    rng = np.random.default_rng(seed)
    kept, history, taken = rungs.Promotions((8, 16, 24)), History(), set[str]()
    rows: list[Any] = []
    for number, (quality, seconds, drawn) in enumerate(points):
        draws = (tuple(quality + rng.normal(size=rungs.RESAMPLES) * 0.1), ()) if drawn else ()
        rows.append(
            row(number, quality, seconds, resampled_losses=draws, violation=float(drawn == 2))
        )
        found = kept.next(history.read(rows), taken)
        assert found == rungs.Promotions((8, 16, 24)).next(History().read(rows), taken)
        if found is not None:
            best = history.good[found[0]]
            taken.add(rungs.promotion_key(best.strategy.digest, found[1]))
            rows.append(replace(best, number=1000 + number, images=found[1]))


def test_resamples_are_paired_and_spread_around_the_figure() -> None:
    engine_free = {"fd_base", "latency_s"}
    space = make_space_free()
    one, other = (make_sample(s, "search", 24) for s in space[:2])
    base = make_sample(space[2], "search", 24)
    found = [rungs.resampled(SCORING, s, base, engine_free)["fd_base"] for s in (one, other, one)]
    assert found[0] == found[2]
    assert len(found[0]) == rungs.RESAMPLES
    assert np.mean(np.subtract(found[1], found[0]) > 0) == 1.0
    assert set(rungs.resampled(SCORING, one, base, {"latency_s"})) == set()


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_the_smallest_rungs_can_be_resampled(count: int) -> None:
    one, _, plain = (make_sample(s, "search", count) for s in make_space_free())
    found = rungs.resampled(SCORING, one, plain, {"fd_base", "psnr"})
    assert all(len(values) == rungs.RESAMPLES for values in found.values())
    assert np.isfinite(found["fd_base"]).all()


def make_space_free() -> list[Any]:
    from strategies import Strategy

    def made(cached: int) -> Strategy:
        depth: list[Any] = ["full"] * (12 - cached) + [1] * cached
        return Strategy.create(
            family="unet",
            scheduler="DDIMScheduler",
            steps=12,
            calls=12,
            methods={"deepcache": {"depth": depth}},
        )

    return [made(2), made(9), made(0)]


class Drawing(FakeExecutor):
    """Remembers which images of which strategy were drawn for the search."""

    def __init__(self, slots: int = 2) -> None:
        super().__init__(slots)
        self.images: Counter[tuple[str, int]] = Counter()

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        if request.split == "search":
            text, rows = dump(request.strategy), range(request.start, request.stop)
            self.images.update((text, index) for index in rows)
        return super().sample(request)


FLAGS: dict[str, Any] = {"images": 16, "rungs": [4, 8, 16], "seeds": ["grid"]}


@pytest.mark.parametrize("screened", [False, True])
def test_no_image_is_drawn_twice(tmp_path: Path, screened: bool) -> None:
    executor = Drawing()
    engine = make_engine(
        tmp_path, executor, joint=True, budget="60evals", surrogate=screened, **FLAGS
    )
    summary = raced(engine)
    rows = engine.study.evaluations
    assert summary["evaluations"] == len(rows) == 60
    assert max(executor.images.values()) == 1
    by_rung = Counter(one.images for one in rows)
    assert set(by_rung) == {4, 8, 16}
    assert any(one.origin == JOINT for one in rows)
    chosen = Counter(one.images for one in rows if one.origin != JOINT)  # Those skip the choice.
    assert chosen[8] <= by_rung[4] // 3
    assert chosen[16] <= by_rung[8] // 3
    # What is exported was drawn on the highest rung, and its figures are those of all its images.
    for one in (e for e in rows if e.images > 4):
        whole = make_sample(one.strategy, "search", one.images)
        scores = engine.prepared.scoring.score(whole, engine.prepared.base.first(one.images))
        exact = engine.prepared.objectives_at[one.images].losses(
            scores | engine.prepared.costs.of(one.strategy)
        )
        assert one.objectives == pytest.approx(exact)
    assert {e.images for e in engine.choice().best()[0]} <= {16}
    assert all(not e.resampled_losses for e in rows if e.images == 16)
    assert all(
        len(e.resampled_losses[0]) == rungs.RESAMPLES and not e.resampled_losses[1]
        for e in rows
        if e.images < 16
    )


def test_a_search_with_rungs_resumes_exactly(tmp_path: Path) -> None:
    whole = make_engine(tmp_path / "whole", Drawing(1), budget="56evals", **FLAGS)
    whole.prepare()
    whole.evaluate()
    expected = [(e.strategy.digest, e.images) for e in whole.study.evaluations]
    assert len({images for _, images in expected}) == 3
    for cut in (14, 49):
        executor = Drawing(1)
        executor.stop_after = cut
        with pytest.raises(KeyboardInterrupt):
            engine = make_engine(tmp_path / str(cut), executor, budget="56evals", **FLAGS)
            engine.prepare()
            engine.evaluate()
        if cut == 49:  # What only saves time may be lost.
            for file in (tmp_path / "49" / "samples").iterdir():
                file.unlink()
        resumed = make_engine(tmp_path / str(cut), Drawing(1), budget="56evals", **FLAGS)
        resumed.prepare()
        resumed.evaluate()
        rows = [(e.strategy.digest, e.images) for e in resumed.study.evaluations]
        assert rows == expected
    assert export.write_unfinished(whole.so_far) > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"rungs": [8, 4, 24], "images": 24}, "ascending"),
        ({"rungs": [8, 16], "images": 24}, "the last being --images, here 24"),
        ({"rungs": [1, 24], "images": 24}, "from 2 up"),
        ({"rungs": [8, 24], "images": 24, "proposer": "dato"}, "leave --rungs out"),
    ],
)
def test_wrong_rungs_are_named(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        config.resolve("tiny-sd", flags)
