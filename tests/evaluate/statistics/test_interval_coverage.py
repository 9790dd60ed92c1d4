"""A nominal 95 % interval covers what many images show in 90 to 99 of 100 repetitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluate import Evaluator, read_model
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.metrics import METRICS
from evaluate.metrics.shared.base import ReferenceKind
from evaluate.statistics.bootstrap import paired_bootstrap
from evaluate.statistics.distances import WeightedStatistic
from tests.support.pipelines.unet_pipelines import strategy

POOL, DRAWN, REPEATS = 256, 64, 100


def change(
    name: str, mine: Any, base: Any, view: ReferenceKind, real: ImageSet
) -> WeightedStatistic:
    """A figure's difference to the unaccelerated pipeline; the figure itself where it compares."""
    against = real if view == "real" else base
    first = METRICS[name].prepare(mine, against, view)
    if view == "base":
        return first
    second = METRICS[name].prepare(base, against, view)
    return lambda weights: first(weights) - second(weights)


@pytest.mark.slow
def test_on_tiny_sd() -> None:
    """Samples of 64 from a pool of 256, drawn with replacement: to them the pool is everything."""
    evaluator = Evaluator(read_model("tiny-sd"))
    cached = {"deepcache": {"depth": ["full", 1] * 4}}
    chosen = evaluator.prompts["heldout"].first(POOL)
    pool = [
        evaluator.generate("pool", one, chosen)
        for one in (strategy(cached, 8), evaluator.unaccelerated)
    ]
    images = [np.stack(list(side.images())) for side in pool]
    real = real_images()

    def sides(rows: Any) -> tuple[ImageSet, ImageSet]:
        one, other = (
            ImageSet("x", len(rows), pixels[rows].__getitem__, known={
                name: side.features(name)[rows] for name in ("bundled", "judge")
            })
            for side, pixels in zip(pool, images, strict=True)
        )  # fmt: skip
        return one, other

    def covered(figure: Callable[[Any], WeightedStatistic], biased: bool) -> int:
        truth = figure(np.arange(POOL))(np.ones(POOL))
        hits = 0
        for seed in range(REPEATS):
            rows = np.random.default_rng(seed).integers(0, POOL, DRAWN)
            found = paired_bootstrap(figure(rows), DRAWN, 100, seed, biased)
            hits += found.low <= truth <= found.high
        return hits

    for name, view in (("fd", "real"), ("kd", "real"), ("psnr", "base")):
        hits = covered(
            lambda rows, n=name, v=view: change(n, *sides(rows), v, real),  # type: ignore[misc]
            METRICS[name].biased,
        )
        assert 90 <= hits <= 99, (name, view, hits)
    # The distance of two sets that nearly agree: its resamples spread more than samples do.
    hits = covered(lambda rows: change("fd", *sides(rows), "base", real), biased=True)
    assert hits >= 90, hits
