"""Forecasts of residuals: exact where their papers say so, and as far as their history reaches."""

from __future__ import annotations

import pytest
import torch

import accel
from benchmarks.quality.predictors import KEPT, PREDICTORS, SIGMA, foca, hermite, modes, predicting
from tests.support.pipelines import transformer_pipelines

SHAPE = (2, 3, 4)


def line(calls: list[int]) -> tuple[list[tuple[int, torch.Tensor]], torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    start, slope = torch.randn(2, *SHAPE, dtype=torch.float64)
    return [(call, start + call * slope) for call in calls], start, slope


@pytest.mark.parametrize("name", PREDICTORS)
def test_one_value_is_repeated(name: str) -> None:
    points, _, _ = line([3])
    assert torch.equal(PREDICTORS[name](points, 5), points[-1][1])


@pytest.mark.parametrize("name", ["order 1", "order 2", "FoCa", "dynamic modes"])
@pytest.mark.parametrize("calls", [[0, 3], [0, 3, 4], [0, 2, 4, 6], [0, 1, 2, 3, 4, 9]])
def test_a_line_goes_on(name: str, calls: list[int]) -> None:
    if name == "dynamic modes" and calls == [0, 2, 4, 6]:
        pytest.skip("powers of one map are no line; with uneven calls a line stands in for them")
    points, start, slope = line(calls)
    for ahead in (1, 2, 4):
        call = calls[-1] + ahead
        assert torch.allclose(PREDICTORS[name](points, call), start + call * slope)


def test_hermite_polynomials_of_the_paper() -> None:
    """With SIGMA 1/2 the line is half as steep, and the second term is (x * x - 2) / 8."""
    points, _, slope = line([0, 2, 4])
    assert SIGMA == 0.5
    assert torch.allclose(hermite(points, 7, 1), points[-1][1] + 0.5 * 3 * slope)
    curved = [(call, torch.full(SHAPE, float(call**2))) for call in (0, 2, 4)]
    # Differences at call 4: (16 - 4) / 2 = 6 and (6 - 2) / 2 = 2.
    expected = 16 + 0.5 * 3 * 6 + (3**2 - 2) / 8 * 2
    assert torch.allclose(hermite(curved, 7, 2), torch.full(SHAPE, expected))


def test_a_decaying_oscillation_goes_on() -> None:
    """Dynamic modes find a pair of complex powers; no polynomial of order 2 does."""
    torch.manual_seed(0)
    axes = torch.randn(2, 2, 12, dtype=torch.float64)

    def value(call: int) -> torch.Tensor:
        angle = torch.tensor(0.7 * call, dtype=torch.float64)
        turned = angle.cos() * axes[0] + angle.sin() * axes[1]
        return (0.9**call * turned).view(2, 3, 4)

    points = [(call, value(call)) for call in (0, 2, 4, 6, 8)]
    for call in (9, 10, 11):
        assert torch.allclose(modes(points, call), value(call), atol=1e-6)
        assert not torch.allclose(PREDICTORS["order 2"](points, call), value(call), atol=1e-2)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    points = [(call, torch.randn(SHAPE, dtype=torch.float64)) for call in (0, 2, 4, 6)]
    alone = [(call, value[1:]) for call, value in points]
    for name, predictor in PREDICTORS.items():
        assert torch.allclose(predictor(points, 8)[1:], predictor(alone, 8)), name


def test_foca_is_anchored_at_the_last_computed_call() -> None:
    """The forecast of many calls stays near the line; a parabola of the same values runs away."""
    points = [(0, torch.zeros(1, 1)), (3, torch.ones(1, 1)), (6, torch.full((1, 1), 4.0))]
    far = float(foca(points, 16))
    assert float(PREDICTORS["order 1"](points, 16)) - 4 <= far
    assert far < float(PREDICTORS["order 2"](points, 16))


def test_a_predictor_is_taken_off_again() -> None:
    from accel.caching import residuals

    names = vars(residuals)
    before = names["needs"], names["extrapolate"]
    with pytest.raises(ValueError, match="stop"), predicting(foca):
        assert residuals.needs(["full", (0, 0)], (0, 0)) == [{(0, 0): KEPT}] * 2
        raise ValueError("stop")
    assert (names["needs"], names["extrapolate"]) == before


@pytest.mark.parametrize("order", [1, 2])
def test_a_predictor_has_every_computed_call(order: int) -> None:
    """An order as a predictor makes the images of the knob, though the schedule has order 0."""
    pipe = transformer_pipelines.build("pixart")

    def images(chosen: int) -> torch.Tensor:
        knobs = {"depth": ["full", 0, 0, "full", 0, 0, "full", 0], "order": chosen}
        one = transformer_pipelines.strategy("pixart", {"deltacache": knobs}, calls=8)
        accel.apply(pipe, one)
        found = transformer_pipelines.draw(pipe, steps=8)
        accel.remove(pipe)
        return found

    with predicting(PREDICTORS[f"order {order}"]):
        forecast = images(0)
    assert torch.equal(forecast, images(order))
    assert not torch.allclose(forecast, images(0))
