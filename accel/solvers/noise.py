"""Noise that solvers draw while they run, taken from the generators of the images.

Stochastic solvers (LCM, the ancestral ones, SDE variants) add noise at every step. Pipelines of
Stable Diffusion and PixArt pass the caller's generators to them. Those of SD 3, FLUX and DiT do
not, and the solver then draws from torch's global stream. Two images of one seed would differ, and
an image would depend on its batch.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Generator, Tensor

from accel.pipelines.devices import device_of
from accel.solvers import encoder_noise
from strategies import StrategyError

Generators = list[Generator]
# The generators of the images that are being drawn, one for each.
_IMAGES: ContextVar[Generators] = ContextVar("images")


@contextmanager
def seeded(pipe: Any, generators: Sequence[Generator]) -> Iterator[None]:
    """Let the pipeline's solver and encoder draw from the images' generators inside the `with`
    block.

    Enter it after a strategy that exchanges the scheduler, around one call of the pipeline, and
    pass the same generators to that call.

    Args:
        pipe: pipeline that generates.
        generators: random generators, one for each image of the batch.

    Raises:
        StrategyError: something used torch's global stream all the same.
    """
    scheduler, device = pipe.scheduler, device_of(pipe)
    kind: Any = type(scheduler)
    held = vars(scheduler).get("noise_sampler_seed")
    token = _IMAGES.set(list(generators))
    before = _streams(device)
    scheduler.__class__ = _handing(kind)
    try:
        with encoder_noise.seeded_encoder(pipe, generators):
            yield
    finally:
        scheduler.__class__ = kind
        if "noise_sampler_seed" in vars(scheduler):
            scheduler.noise_sampler_seed = held
        _IMAGES.reset(token)
    if not all(map(torch.equal, before, _streams(device))):
        raise StrategyError(
            f"{type(pipe).__name__} with {kind.__name__} used torch's global random stream, "
            "so its images do not follow from their seeds; use another scheduler, and call eval() "
            "on parts that are in training mode"
        )


@functools.cache
def _handing(kind: type[Any]) -> type[Any]:
    """Subclass of a scheduler whose `step` gets the images' generators if it gets none.

    A subclass, unlike an attribute of the instance, leaves nothing on copies of the scheduler.
    """
    takes = "generator" in inspect.signature(kind.step).parameters

    @functools.wraps(kind.step)  # Pipelines look up which arguments it takes.
    def step(self: Any, model_output: Tensor, *args: Any, **kwargs: Any) -> Any:
        images = _IMAGES.get(None)
        if images is not None and takes and kwargs.get("generator") is None:
            kwargs["generator"] = _of_rows(images, len(model_output))
        # DPMSolverSDE takes none, but at its first step a seed for each row's Brownian motion.
        sampled = images is not None and "noise_sampler_seed" in vars(self)
        if images is not None and sampled and self.noise_sampler is None:
            self.noise_sampler_seed = _seeds(images, len(model_output))
        return kind.step(self, model_output, *args, **kwargs)

    return type(kind.__name__, (kind,), {"step": step, "__module__": kind.__module__})


def _of_rows(images: Generators, rows: int) -> Generators:
    """One generator for each row that the solver gets.

    DiT's pipeline steps every image twice, for both halves of guidance, and keeps the first half.
    The other half gets the same noise.

    Raises:
        StrategyError: the rows are not the images, once or several times.
    """
    times, left = divmod(rows, len(images))
    if left or not times:
        raise StrategyError(
            f"the solver steps {rows} rows for {len(images)} images, so its noise cannot "
            "follow from their seeds; generate one image for each prompt"
        )
    again = [one.clone_state() for _ in range(times - 1) for one in images]
    return images + again


def _seeds(images: Generators, rows: int) -> list[int]:
    """One seed for each row, drawn from its image's generator."""
    highest = 2**63 - 1
    return [
        int(torch.randint(0, highest, (), generator=one, device=one.device))
        for one in _of_rows(images, rows)
    ]


def _streams(device: torch.device) -> list[Tensor]:
    """States of torch's global streams that a pipeline on `device` can draw from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states
