"""Distances beside clean-fid's and beside their definitions; intervals beside known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cleanfid.fid import fid_from_feats, kernel_distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evaluate import ScoreError, frechet_from_features, kid_from_features
from evaluate.confidence import paired_bootstrap
from evaluate.scores import psnr


@pytest.mark.parametrize(
    ("n", "m", "d"), [(40, 300, 16), (300, 40, 16), (30, 20, 64), (500, 500, 64)]
)
def test_frechet_equals_clean_fid(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(d, d))
    a, b = rng.normal(size=(n, d)) @ mix, rng.normal(0.3, 1.4, size=(m, d)) @ mix
    assert frechet_from_features(a, b) == pytest.approx(fid_from_feats(a, b), rel=1e-6)


def test_frechet_equals_clean_fid_on_real_features() -> None:
    import zoo

    features = zoo.reference_features().double().numpy()
    a, b = features[:700], features[700:1100] * 1.1 + 0.2
    assert frechet_from_features(a, b) == pytest.approx(fid_from_feats(a, b), rel=1e-6)


def test_frechet_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200_000, 2))
    b = rng.normal(size=(200_000, 2)) * [2, 3] + [1, 0]
    assert frechet_from_features(a, b) == pytest.approx(1 + 1 + 4, rel=0.02)


def test_kid_is_the_unbiased_estimate() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(9, 5)), rng.normal(0.2, 1, size=(7, 5))

    def k(x: Any, y: Any) -> float:
        return float((x @ y / 5 + 1) ** 3)

    within_a = np.mean([k(a[i], a[j]) for i in range(9) for j in range(9) if i != j])
    within_b = np.mean([k(b[i], b[j]) for i in range(7) for j in range(7) if i != j])
    across = np.mean([k(x, y) for x in a for y in b])
    assert kid_from_features(a, b) == pytest.approx(within_a + within_b - 2 * across)
    draws = [kid_from_features(*rng.normal(size=(2, 30, 5))) for _ in range(300)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(300)


def test_kid_agrees_with_clean_fid_where_it_takes_everything() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 8)), rng.normal(0.3, 1.2, size=(200, 8))
    theirs = kernel_distance(a, b, num_subsets=1, max_subset_size=200)
    assert kid_from_features(a, b) == pytest.approx(theirs, rel=1e-6)


FEATURES = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 12), st.just(4)), elements=st.floats(-9, 9)
)


@given(FEATURES, FEATURES)
def test_distances_are_symmetric_and_zero_at_home(a: Any, b: Any) -> None:
    assert frechet_from_features(a, b) == pytest.approx(frechet_from_features(b, a), abs=1e-6)
    assert kid_from_features(a, b) == pytest.approx(kid_from_features(b, a), abs=1e-6)
    assert frechet_from_features(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_from_features(a, b) >= 0


@pytest.mark.parametrize(
    "bad", [np.zeros((1, 4)), np.zeros(4), np.full((5, 4), np.nan), np.full((5, 4), np.inf)]
)
def test_what_cannot_be_scored_is_refused(bad: Any) -> None:
    for function in (frechet_from_features, kid_from_features):
        with pytest.raises(ScoreError, match="features"):
            function(bad, np.zeros((5, 4)))
    with pytest.raises((ScoreError, ValueError)):
        frechet_from_features(np.zeros((5, 4)), np.zeros((5, 3)))


def test_intervals_cover_a_known_mean() -> None:
    covered = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(1.0, 2.0, 80)
        interval = paired_bootstrap(lambda rows, v=values: float(v[rows].mean()), 80, seed=seed)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_psnr() -> None:
    black, grey = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx([20 * np.log10(5)] * 2)
    assert psnr(black, black).tolist() == [99.0, 99.0]
