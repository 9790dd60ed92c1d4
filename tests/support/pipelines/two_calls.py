"""Guidance as two passes of the denoiser at each call."""

from __future__ import annotations

from typing import Any

import torch

from tests.support.pipelines.unet_pipelines import STEPS


class TwoCalls:
    """Guidance as two passes of the denoiser at each call, as some pipelines do it."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe

    @torch.no_grad()
    def draw(self, calls: int = STEPS, noise: torch.Tensor | None = None) -> torch.Tensor:
        pipe = self.pipe
        positive, negative = pipe.encode_prompt("a large red circle", "cpu", 1, True)
        pipe.scheduler.set_timesteps(calls)
        latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
        latents = latents if noise is None else noise
        for t in pipe.scheduler.timesteps:
            first = pipe.unet(latents, t, encoder_hidden_states=negative).sample
            second = pipe.unet(latents, t, encoder_hidden_states=positive, return_dict=False)[0]
            guided = first + 7.5 * (second - first)
            latents = pipe.scheduler.step(guided, t, latents).prev_sample
        return latents
