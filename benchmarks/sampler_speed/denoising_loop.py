"""A denoiser with random weights in as much of a pipeline as the sampler needs, and its loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DiTTransformer2DModel, UNet2DConditionModel

import accel
from accel.profiling import flop_counter
from benchmarks.networks.topologies import Built, strategy
from benchmarks.sampler_speed.timing import GPULaps, Laps, laps, wait
from strategies import Strategy
from zoo import untrained


def nothing() -> None:
    """Nothing."""


class Network:
    """Network of `networks.py` on a device, in half precision on a GPU; guided generations of it.

    Args:
        build: makes it.
        calls: number of calls of a generation.

    `before` runs before every generation.
    """

    def __init__(self, build: Callable[[], Built], calls: int, device: str) -> None:
        torch.manual_seed(0)
        with torch.device(device):
            self.pipe, given = build()
        network = self.pipe.denoiser
        self.is_unet = isinstance(network, UNet2DConditionModel)
        with torch.no_grad():
            for weight in () if self.is_unet else network.parameters():
                weight.normal_(std=0.02)  # Fresh modulations are zero.
        self.kind = torch.float16 if device.startswith("cuda") else torch.float32
        network.to(self.kind).eval()
        if isinstance(network, DiTTransformer2DModel):
            untrained.one_embedder(network)
        self.given, self.calls, self.now = given, calls, 0.0
        self.before: Callable[[], None] = nothing

    def plan(self, methods: dict[str, Any]) -> Strategy:
        """A strategy for this network."""
        return strategy(self.pipe, self.calls, methods)

    def accelerated(self, methods: dict[str, Any]) -> Any:
        """A context in which these methods act."""
        return accel.accelerated(self.pipe, self.plan(methods))

    def draw(self, batch: int = 1) -> list[float]:
        """Seconds of each call of a generation, with the solver's step."""
        with torch.inference_mode():
            return self._draw(batch, laps(self.pipe.device))

    def work(self) -> list[int]:
        """Multiply-accumulates of each call of a generation of one image."""
        with flop_counter() as counter:
            found = self.read(Laps(counter.get_total_flops))
        return [int(flops) // 2 for flops in found]

    def read(self, passed: Laps) -> list[float]:
        """Readings of a counter for each call of a generation of one image, as pipelines run it."""
        with torch.no_grad():
            return self._draw(1, passed)

    def _draw(self, batch: int, passed: Laps | GPULaps) -> list[float]:
        pipe, shape = self.pipe, self.pipe.shape(batch)
        given = _rows(self.given, batch, self.kind)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        latents = latents.to(device=pipe.device, dtype=self.kind)
        pipe.scheduler.set_timesteps(self.calls, device=pipe.device)
        times = pipe.scheduler.timesteps.tolist()
        self.before()
        wait(pipe.device)
        passed.mark()
        for t, self.now in zip(pipe.scheduler.timesteps, times, strict=True):
            guess = self._predict(torch.cat([latents] * pipe.rows), t, given | pipe.shared)
            latents = pipe.scheduler.step(pipe.guided(guess), t, latents).prev_sample
            passed.mark()
        return passed.between()

    def _predict(self, doubled: torch.Tensor, t: torch.Tensor, given: dict[str, Any]) -> Any:
        network = self.pipe.denoiser
        if self.is_unet:  # DeepCache's helper looks for the time among the places.
            return network(doubled, t, **given).sample
        times = self.pipe.time(t).expand(len(doubled))
        return network(hidden_states=doubled, timestep=times, **given).sample


def _rows(value: Any, batch: int, kind: torch.dtype) -> Any:
    """Every row `batch` times, in the network's precision."""
    if isinstance(value, dict):
        return {name: _rows(one, batch, kind) for name, one in value.items()}
    if not isinstance(value, torch.Tensor):
        return value
    repeated = value.repeat_interleave(batch, dim=0)
    return repeated.to(kind) if value.is_floating_point() else repeated
