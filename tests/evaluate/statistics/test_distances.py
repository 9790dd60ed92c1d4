"""Distances beside clean-fid's and beside their definitions; intervals beside known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cleanfid.fid import fid_from_feats, kernel_distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import evaluate
from evaluate import ScoreError, frechet_from_features, kid_from_features
from evaluate.metrics.psnr import psnr
from evaluate.metrics.shared.base import mean_of
from evaluate.statistics.bootstrap import paired_bootstrap
from evaluate.statistics.distances import (
    cubic,
    frechet,
    frechet_paired,
    frechet_statistic,
    kernel_paired,
    kernel_statistic,
)
from evaluate.statistics.gaussian import GaussianStatistics


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
        interval = paired_bootstrap(mean_of(values), 80, seed=seed)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_psnr() -> None:
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * np.log10(5))
    assert psnr(black, black) == 99.0


@pytest.mark.parametrize(("sizes", "d"), [((5, 1, 30), 8), ((3, 4, 2), 40), ((200, 100), 16)])
def test_merged_statistics_are_those_of_all(sizes: tuple[int, ...], d: int) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(1000.0, 1.0, size=(size, d)) for size in sizes]
    merged = GaussianStatistics.of(parts[0])
    for part in parts[1:]:
        merged = merged.merge(GaussianStatistics.of(part))
    everything = np.concatenate(parts)
    assert merged.count == sum(sizes)
    assert len(merged.factor) <= min(2 * d, merged.count + len(sizes))
    assert merged.mean == pytest.approx(everything.mean(0), rel=1e-12)
    assert merged.half.T @ merged.half == pytest.approx(np.cov(everything.T), abs=1e-9)
    other = GaussianStatistics.of(rng.normal(1000.5, 1.3, size=(50, d)))
    assert frechet(merged, other) == pytest.approx(
        frechet(GaussianStatistics.of(everything), other), rel=1e-9
    )


def test_a_file_of_statistics_is_as_good_as_the_features() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 20)), rng.normal(0.2, 1.2, size=(60, 20))
    stored = GaussianStatistics.of_covariance(b.mean(0), np.cov(b.T))
    assert frechet(GaussianStatistics.of(a), stored) == pytest.approx(
        fid_from_feats(a, b), rel=1e-6
    )
    with pytest.raises(ScoreError, match="cannot be merged"):
        stored.merge(stored)
    with pytest.raises(ScoreError, match="symmetric"):
        GaussianStatistics.of_covariance(b.mean(0), b)
    with pytest.raises(ScoreError, match="one image has no covariance"):
        frechet(GaussianStatistics.of(a[:1]), stored)


@pytest.mark.parametrize(("n", "d"), [(12, 30), (40, 6)])
def test_a_reweighted_distance_is_that_of_repeated_images(n: int, d: int) -> None:
    """For whole numbers as weights; the kernel distance leaves pairs of copies out."""
    rng = np.random.default_rng(0)
    a, b, real = rng.normal(size=(n, d)), rng.normal(size=(n, d)), rng.normal(1, 2, size=(25, d))
    weights = rng.multinomial(n, np.full(n, 1 / n)).astype(float)
    rows = np.repeat(np.arange(n), weights.astype(int))
    one = np.ones(n)
    fixed = frechet_statistic(a, GaussianStatistics.of(real))
    assert fixed(weights) == pytest.approx(frechet_from_features(a[rows], real), rel=1e-8)
    assert fixed(one) == pytest.approx(frechet_from_features(a, real), rel=1e-8)
    paired = frechet_paired(a, b)
    assert paired(weights) == pytest.approx(frechet_from_features(a[rows], b[rows]), rel=1e-7)
    assert frechet_paired(a, a)(weights) == pytest.approx(0, abs=1e-6)
    kernels = kernel_statistic(a, real, cubic)
    assert kernels(one) == pytest.approx(kid_from_features(a, real), rel=1e-9)
    pairs = [(i, j) for i in rows for j in rows if i != j]
    own = np.mean([cubic(a[[i]], a[[j]]) for i, j in pairs])
    within = np.mean([cubic(real[[i]], real[[j]]) for i in range(25) for j in range(25) if i != j])
    across = cubic(a[rows], real).mean()
    assert kernels(weights) == pytest.approx(own + within - 2 * across, rel=1e-8)
    assert kernel_paired(a, a, cubic)(weights) == 0


def test_the_paired_kernel_distance_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(400):
        one, other = rng.normal(size=(2, 20, 4))
        draws.append(kernel_paired(one, other, cubic)(np.ones(20)))
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(400)


def test_the_bias_of_few_images_is_taken_away() -> None:
    rng = np.random.default_rng(0)
    real = GaussianStatistics.of(rng.normal(size=(100_000, 16)))
    found = [frechet_statistic(rng.normal(size=(60, 16)), real) for _ in range(30)]
    plain = np.mean([statistic(np.ones(60)) for statistic in found])
    intervals = [paired_bootstrap(one, 60, seed=i, biased=True) for i, one in enumerate(found)]
    assert plain > 1.0
    assert abs(np.mean([one.value for one in intervals])) < plain / 3
    assert np.mean([one.low <= 0 <= one.high for one in intervals]) > 0.8


@pytest.mark.slow
def test_frechet_equals_clean_fid_at_the_size_of_inception() -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(2048, 2048)) / 45
    a, b = rng.normal(size=(500, 2048)) @ mix, rng.normal(0.1, 1.2, size=(600, 2048)) @ mix
    assert frechet_from_features(a, b) == pytest.approx(fid_from_feats(a, b), rel=1e-6)


def test_the_former_name_of_the_statistics_still_works() -> None:
    with pytest.warns(DeprecationWarning, match=r"is now evaluate\.GaussianStatistics"):
        assert evaluate.Statistics is GaussianStatistics
