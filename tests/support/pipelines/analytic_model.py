"""A model whose images are known: data of a normal distribution, denoised exactly.

Solvers that are set up right carry each noise to one known value, as the number of steps grows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from accel.solvers.schedulers import is_flow

MEAN, SPREAD = 1.0, 1.5  # Beyond 1, so that clipping would show.


class Exact:
    """The denoiser of the data, in the form that a solver asks for.

    Args:
        betas: the noise schedule of a diffusion model, None of a flow model.
        predicts: `epsilon`, `v_prediction` or `sample`; flow models predict the velocity.
    """

    def __init__(self, betas: Tensor | None, predicts: str = "epsilon") -> None:
        self.predicts = predicts
        self.sigmas: Any = None
        if betas is not None:
            signal = np.cumprod(1 - betas.double().numpy())
            self.sigmas = np.log(((1 - signal) / signal) ** 0.5)

    def levels(self, timestep: float) -> tuple[float, float]:
        """Shares of data and of noise in the sample at a time."""
        if self.sigmas is None:
            return 1 - timestep / 1000, timestep / 1000
        sigma = float(np.exp(np.interp(timestep, np.arange(len(self.sigmas)), self.sigmas)))
        return (1 + sigma**2) ** -0.5, sigma * (1 + sigma**2) ** -0.5

    def __call__(self, sample: Tensor, timestep: Tensor) -> Tensor:
        data, noise = self.levels(float(timestep))
        variance = (data * SPREAD) ** 2 + noise**2
        clean = MEAN + data * SPREAD**2 / variance * (sample - data * MEAN)
        if self.predicts == "sample":
            return clean
        guess = (sample - data * clean) / max(noise, 1e-6)
        if self.sigmas is None:
            return guess - clean
        return guess if self.predicts == "epsilon" else data * guess - noise * clean

    def image(self, noise: Tensor, timestep: float) -> Tensor:
        """What the noise becomes, where drawing starts at this time."""
        data, share = self.levels(timestep)
        return MEAN + SPREAD * (noise - data * MEAN) / ((data * SPREAD) ** 2 + share**2) ** 0.5


def model_of(scheduler: Any) -> Exact:
    """The exact model that a solver is set up for."""
    if is_flow(scheduler):
        return Exact(None)
    return Exact(scheduler.betas, scheduler.config.prediction_type)


def solve(scheduler: Any, model: Exact, noise: Tensor, steps: int) -> Tensor:
    """Draw as pipelines do."""
    shift = {"mu": 0.8} if scheduler.config.get("use_dynamic_shifting") else {}
    scheduler.set_timesteps(steps, **shift)
    sample = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    scales = hasattr(scheduler, "scale_model_input")
    for timestep in scheduler.timesteps:
        given = scheduler.scale_model_input(sample, timestep) if scales else sample
        sample = scheduler.step(model(given, timestep), timestep, sample).prev_sample
    return sample
