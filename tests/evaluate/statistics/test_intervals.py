"""Intervals of few images and of discrete figures."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest

from evaluate import scoring
from evaluate.comparison_table import verdict
from evaluate.image_set import ImageSet
from evaluate.metrics import METRICS
from evaluate.statistics.bootstrap import FEWEST, interval, paired_bootstrap, resample_weights
from evaluate.statistics.bounded import Z, p_no_change, score_interval
from evaluate.statistics.distances import cubic, frechet_paired, kernel_paired
from evaluate.statistics.means import mean_of


def test_resamples_are_drawn_once_and_cannot_be_changed() -> None:
    found = resample_weights(8, 5, 0)
    assert resample_weights(8, 5, 0) is found
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 9
    assert all(one.sum() == 8 for one in found)
    assert not np.array_equal(found, resample_weights(8, 5, 1))


def changes(gained: int, lost: int, count: int, size: float = 1.0) -> Any:
    found = np.zeros(count)
    found[:gained], found[gained : gained + lost] = size, -size
    return found


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_few_images_have_no_interval_or_a_wide_one(count: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, count, 64))
    for statistic, biased in ((frechet_paired(a, b), True), (kernel_paired(a, b, cubic), False)):
        found = paired_bootstrap(statistic, count, biased=biased)
        assert found.known == (count >= FEWEST)
        assert found.high - found.low > 0.1 * abs(found.value)
    values = mean_of(rng.normal(size=count))
    assert paired_bootstrap(values, count).known == (count >= FEWEST)


def test_what_has_no_interval_is_left_out() -> None:
    rng = np.random.default_rng(0)
    pair = [
        ImageSet("x", 3, known={
            "bundled": rng.normal(size=(3, 64)).astype(np.float32),
            "judge": rng.integers(0, 2, (3, 5)).astype(np.float32),
        })
        for _ in range(2)
    ]  # fmt: skip
    metrics = [METRICS["fd"], METRICS["kd"], METRICS["right-shape"]]
    mine, base = (scoring.statistics(side, pair[1], {"real": pair[1]}, metrics) for side in pair)
    found = scoring.intervals(mine, base, metrics, 3)
    assert set(found) == {"right_shape_change"}  # Bounded, so three images say something.
    value, low, high = found["right_shape_change"]
    assert low <= value <= high
    assert high - low > 1
    assert set(scoring.changes(mine, base, metrics, 3)) == {"right_shape"}


def test_two_objects_of_thirty_two_are_within_noise() -> None:
    """Two images of 16 with one more of their two objects right: McNemar's p is 0.5."""
    found = interval(mean_of(changes(2, 0, 16, 0.5), (-1.0, 1.0)), 16)
    assert found.value == 0.0625
    assert found.low < 0 < found.high
    assert verdict(found.to_json(), "higher") == "within noise"
    assert p_no_change(changes(2, 0, 16, 0.5)) == 0.5


@settings(max_examples=60)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 60))
def test_paired_intervals_agree_with_mcnemar(gained: int, lost: int, same: int) -> None:
    count = gained + lost + same
    if count < 1:
        return
    _, low, high = score_interval(changes(gained, lost, count), (-1.0, 1.0))
    assert -1 <= low <= (gained - lost) / count <= high <= 1
    exact = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert p_no_change(changes(gained, lost, count)) == pytest.approx(exact)
    if exact >= 0.05:
        assert low <= 0 <= high


def tango(gained: int, lost: int, count: int, z: float) -> float:
    """The end of Tango's interval at which his equation 3 has the value `z`."""

    def excess(apart: float) -> float:
        b = -gained - lost + (2 * count - gained + lost) * apart
        c = -lost * apart * (1 - apart)
        q = (math.sqrt(b * b - 8 * count * c) - b) / (4 * count)
        spread = count * (2 * q + apart * (1 - apart))
        return (gained - lost - count * apart) / math.sqrt(spread) - z

    mean = (gained - lost) / count
    outer = math.copysign(1 - 1e-9, -z)
    return float(brentq(excess, outer, mean + math.copysign(1e-9, -z)))


@pytest.mark.parametrize("case", [(12, 2, 44), (9, 1, 100), (40, 10, 300), (16, 3, 100)])
def test_equals_tango(case: tuple[int, int, int]) -> None:
    _, low, high = score_interval(changes(*case), (-1.0, 1.0))
    assert low == pytest.approx(tango(*case, Z), abs=1e-6)
    assert high == pytest.approx(tango(*case, -Z), abs=1e-6)


@pytest.mark.parametrize(("right", "count"), [(0, 16), (3, 20), (19, 20), (384, 384)])
def test_equals_wilson(right: int, count: int) -> None:
    values = np.r_[np.ones(right), np.zeros(count - right)]
    _, low, high = score_interval(values, (0.0, 1.0))
    share, extra = right / count, Z**2 / count
    middle = (share + extra / 2) / (1 + extra)
    half = Z / (1 + extra) * math.sqrt(share * (1 - share) / count + extra / (4 * count))
    assert (low, high) == (pytest.approx(middle - half), pytest.approx(middle + half))


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=40),
    st.integers(2, 4),
)
def test_more_of_the_same_is_never_less_sure(values: list[float], times: int) -> None:
    few = score_interval(np.array(values), (-1.0, 1.0))
    many = score_interval(np.array(values * times), (-1.0, 1.0))
    assert few[1] - 1e-9 <= many[1] <= many[2] <= few[2] + 1e-9


@cache
def binary(gained: int, lost: int, count: int) -> tuple[float, float]:
    return score_interval(changes(gained, lost, count), (-1.0, 1.0))[1:]


@pytest.mark.slow
@pytest.mark.parametrize("count", [16, 32, 96, 384])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9, 0.98, 1.0])
def test_changes_of_accuracies_are_covered(count: int, rate: float) -> None:
    """Of 1000 repetitions 90 to 99 in 100 cover the true change, near 0 and 1 as well.

    Where fewer than 30 images change, an interval that agrees with McNemar's exact test cannot stay
    under 99: five changes of one kind are needed to exclude anything.
    """
    for lost, gained in ((0.01, 0.01), (0.05, 0.0), (0.1, 0.02), (0.1, 0.1), (0.3, 0.1)):
        down, up = min(lost, rate), min(gained, 1 - rate)
        draws = np.random.default_rng(0).multinomial(count, [up, down, 1 - up - down], 1000)
        truth = up - down
        hits = 0
        for plus, minus, _ in draws:
            low, high = binary(int(plus), int(minus), count)
            hits += low - 1e-9 <= truth <= high + 1e-9
        assert hits >= 900, (count, rate, lost, gained, hits)
        if count * (up + down) >= 30:
            assert hits <= 990, (count, rate, lost, gained, hits)


@pytest.mark.slow
@pytest.mark.parametrize("count", [16, 32, 96, 384])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_changes_of_two_objects_each_are_covered(count: int, rate: float) -> None:
    """Images of two objects, of which both or one may change: values of halves."""
    for flips in (0.02, 0.1, 0.3):
        rng = np.random.default_rng(1)
        hits = changed = 0
        for _ in range(150):
            before = rng.random((count, 2)) < rate
            linked = np.where(rng.random((count, 1)) < 0.5, rng.random((count, 1)), 2.0)
            drawn = np.where(linked < 2, linked, rng.random((count, 2))) < flips
            after = np.where(drawn, rng.random((count, 2)) < rate, before)
            values = after.mean(1) - before.mean(1)
            changed += int(np.count_nonzero(values))
            _, low, high = score_interval(values, (-1.0, 1.0))
            hits += low <= 0 <= high
        assert hits >= 135, (count, rate, flips, hits)
        if changed >= 30 * 150:
            assert hits <= 149, (count, rate, flips, hits)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 8, 16, 64])
def test_means_of_few_images_are_covered(count: int) -> None:
    hits = 0
    for seed in range(300):
        values = np.random.default_rng(seed).normal(1.0, 2.0, count)
        found = paired_bootstrap(mean_of(values), count, seed=seed)
        hits += found.low <= 1.0 <= found.high
    assert 270 <= hits <= 297, hits
