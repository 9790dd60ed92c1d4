"""The regression behind the surrogate: what it learns from, what it leaves out, how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from search.surrogate import gaussian_process as regression
from search.surrogate.gaussian_process import MAX_ROWS, OUTCOMES, GaussianProcess


def problem(count: int, width: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Rows of which two features matter."""
    rng = np.random.default_rng(0)
    told = rng.normal(size=(count, width)).astype(np.float32)
    return told, np.sin(2 * told[:, 0]) + told[:, 1] ** 2


def test_finds_the_few_features_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    told, values = problem(400)
    fits = {}
    for power in (0.0, regression.IMPORTANCE_EXPONENT):
        monkeypatch.setattr(regression, "IMPORTANCE_EXPONENT", power)
        found = GaussianProcess(told[:150], values[:150], 0).outcomes(told[150:]).mean(0)
        fits[power] = np.corrcoef(found, values[150:])[0, 1]
    alike, scaled = fits.values()
    assert alike < 0.6
    assert scaled > 0.85


def test_unseen_is_what_the_other_rows_predict() -> None:
    told, values = problem(40)
    made = GaussianProcess(told, values, 0)
    process, scaled = made._process, made._scaled(told)
    centred = (values - values.mean()) / values.std()
    kernel = process.kernel_(scaled)
    for row in (0, 17, 39):
        others = np.arange(40) != row
        weights = np.linalg.solve(kernel[np.ix_(others, others)], centred[others])
        expected = values.mean() + values.std() * kernel[row, others] @ weights
        assert made.unseen[row] == pytest.approx(expected, rel=1e-6)


def test_outcomes_are_quantiles_of_the_process() -> None:
    """scikit-learn's prediction, its spread without the noise of a single value."""
    told, values = problem(200, width=5)
    made = GaussianProcess(told[:150], values[:150], 0)
    found, process = made.outcomes(told[150:]), made._process
    mean, spread = process.predict(made._scaled(told[150:]), return_std=True)
    noise = process.kernel_.k2.noise_level * values[:150].var()
    spread = np.sqrt(spread**2 - noise)
    assert found.mean(0) == pytest.approx(mean, abs=1e-9)
    assert found == pytest.approx(mean + regression.QUANTILES[:, None] * spread, abs=1e-6)


def test_scales_as_the_scaler_does() -> None:
    told, values = problem(60, width=5)
    told *= np.array([1e-3, 1, 1e3, 1e6, 1], dtype=np.float32)
    made = GaussianProcess(told, values, 0)
    expected = made._scaler.transform(told) * made._scales
    assert made._scaled(told) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_is_surer_near_what_it_knows() -> None:
    told, values = problem(120, width=4)
    made = GaussianProcess(told, values, 0)
    near, far = made.outcomes(told), made.outcomes(told + 20)
    assert near.shape == (OUTCOMES, 120)
    assert (np.diff(near, axis=0) >= 0).all()
    assert np.ptp(near, axis=0).max() < np.ptp(far, axis=0).min()


def test_learns_from_the_newest_and_some_of_the_others() -> None:
    told, values = problem(3 * MAX_ROWS, width=3)
    kept = GaussianProcess(told, values, 0).kept
    assert len(kept) == len(set(kept)) == MAX_ROWS
    assert set(range(3 * MAX_ROWS - MAX_ROWS // 2, 3 * MAX_ROWS)) <= set(kept)
    assert kept[0] == 0
    assert np.diff(kept).max() <= 6
    assert np.array_equal(
        GaussianProcess(told[:MAX_ROWS], values[:MAX_ROWS], 0).kept, np.arange(MAX_ROWS)
    )


def test_equal_values_are_predicted_as_they_are() -> None:
    told, _ = problem(40)
    made = GaussianProcess(told, np.full(40, 3.0), 0)
    assert made.unseen == pytest.approx(np.full(40, 3.0))
    assert made.outcomes(told).mean(0) == pytest.approx(np.full(40, 3.0))
