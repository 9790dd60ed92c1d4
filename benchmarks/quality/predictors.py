"""Forecasts of a residual from its last computed values, as papers have them.

Each takes the calls and values kept so far, newest last, and the call to forecast for. Time is the
number of the call. `hermite` is HiCache (arXiv 2508.16984, section 3.3), `foca` is Forecast then
Calibrate (arXiv 2508.16211, equations 7 and 8), and `modes` is dynamic mode decomposition (Schmid
2010, doi 10.1017/S0022112010001217), which cache-dit calls DMD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import factorial
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from accel.caching import residuals
from accel.caching.extrapolation import extrapolate

Points = Sequence[tuple[int, Tensor]]
Predictor = Callable[[Points, int], Tensor]
KEPT = 6  # Values kept for a forecast; dynamic mode decomposition takes this many at most.
SIGMA = 0.5  # HiCache's scaling.
LEAST = 4  # Values below which dynamic mode decomposition cannot tell an oscillation.
NOISE = 1e-4  # Share of the largest singular value below which a mode is noise.


def polynomial(points: Points, call: int, order: int) -> Tensor:
    """Lagrange's polynomial through the last `order + 1` values, the knob `order`."""
    found: Tensor = extrapolate(list(points), call, order)
    return found


def hermite(points: Points, call: int, order: int) -> Tensor:
    """Taylor's expansion with scaled Hermite polynomials in place of the powers of time.

    Derivatives are one-sided differences of the last values. The polynomial of order k is that of
    physics, at SIGMA times the time, and is scaled by SIGMA to the k-th.
    """
    used = list(points)[-(order + 1) :][::-1]
    times, level = [at for at, _ in used], [value for _, value in used]
    ahead = SIGMA * (call - times[0])
    polynomials = [1.0, 2 * ahead]
    value = level[0]
    for k in range(1, len(used)):
        level = [
            (level[i] - level[i + 1]) / (times[i] - times[i + 1]) for i in range(len(level) - 1)
        ]
        if k > 1:
            polynomials.append(2 * ahead * polynomials[-1] - 2 * (k - 1) * polynomials[-2])
        value = torch.add(value, level[0], alpha=polynomials[k] * SIGMA**k / factorial(k))
    return value


def foca(points: Points, call: int) -> Tensor:
    """Steps of one call: a second-order backward difference, then Heun's rule.

    Heun's rule averages the slope of the forecast with the slope at the last computed call, so that
    a forecast of several calls does not run away.
    """
    used = list(points)[-3:]
    if len(used) == 1:
        return used[0][1]
    before: Tensor | None = None
    now = used[0][1]
    ends = [*(at for at, _ in used[2:]), call + 1]
    for (last, value), (at, computed), end in zip(used, used[1:], ends, strict=False):
        slope = (computed - value) / (at - last)
        before, now = computed - slope if before is None else now, computed
        for _ in range(at + 1, end):
            forecast = 4 / 3 * now - 1 / 3 * before + 2 / 3 * (now - before)
            before, now = now, now + (slope + forecast - now) / 2
    return now


def modes(points: Points, call: int) -> Tensor:
    """Powers of the linear map that takes each of the last values to the next, for each image.

    The values must be as far apart as the last two are; with fewer than LEAST of them the forecast
    is the line through the last two.
    """
    used = [points[-1]]
    spacing = points[-1][0] - points[-2][0] if len(points) > 1 else 0
    for one in reversed(list(points)[:-1]):
        if used[0][0] - one[0] != spacing:
            break
        used.insert(0, one)
    if len(used) < LEAST:
        return polynomial(points, call, 1)
    rows = torch.stack([value.flatten(1) for _, value in used], dim=1)
    steps = (call - used[-1][0]) / spacing
    weights = torch.stack([_weights(row.double() @ row.double().T, steps) for row in rows])
    found = torch.einsum("rn,rnd->rd", weights.to(rows.dtype), rows)
    return found.view_as(used[-1][1])


def _weights(products: Tensor, steps: float) -> Tensor:
    """Weights of the values in the forecast, from their inner products."""
    last = torch.zeros(len(products), dtype=products.dtype)
    last[-1] = 1
    squares, vectors = torch.linalg.eigh(products[:-1, :-1])
    kept = squares > squares[-1] * NOISE**2
    if not kept.any():
        return last
    basis = vectors[:, kept] / squares[kept].sqrt()
    values, left = torch.linalg.eig(basis.T @ products[:-1, 1:] @ basis)
    exact = basis.to(left.dtype) @ left  # The modes, as weights of all values but the first.
    inner = products[1:, 1:].to(left.dtype)
    normal = exact.mH @ inner @ exact
    amounts = torch.linalg.lstsq(normal, exact.mH @ inner[:, -1:]).solution[:, 0]
    found = torch.cat([torch.zeros(1), (exact @ (values**steps * amounts)).real])
    return found.to(products.dtype) if bool(found.isfinite().all()) else last


PREDICTORS: dict[str, Predictor] = {
    "order 0": partial(polynomial, order=0),
    "order 1": partial(polynomial, order=1),
    "order 2": partial(polynomial, order=2),
    "Hermite, order 1": partial(hermite, order=1),
    "Hermite, order 2": partial(hermite, order=2),
    "FoCa": foca,
    "dynamic modes": modes,
}


@contextmanager
def predicting(predictor: Predictor) -> Iterator[None]:
    """`deltacache` with a predictor in place of its orders."""
    needs = residuals.needs

    def more(*given: Any) -> Any:
        # Of order 0 nothing is needed between the last reuse and the next full call.
        rows = needs(*given)
        keys = {key for one in rows for key in one}
        return [dict.fromkeys(keys, KEPT) for _ in rows]

    def forecast(history: Any, call: int, order: int) -> Any:
        newest = history[-1][1]
        columns = [[(at, value[i]) for at, value in history] for i in range(len(newest))]
        return tuple(predictor(column, call) for column in columns)

    with (
        mock.patch.object(residuals, "needs", more),
        mock.patch.object(residuals, "extrapolate", forecast),
    ):
        yield
