"""Parts of a pipeline for a denoiser without one: its shapes, its time and its guidance."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel


class Bare:
    """Parts of a pipeline that the sampler needs: a `unet` or a `transformer`, and a scheduler.

    Attributes:
        unet, transformer: the denoiser, under one of these names.
        rows: rows of the denoiser's batch for each image.
        shared: arguments of the denoiser that do not depend on the batch.
    """

    unet: Any
    transformer: Any
    rows = 2
    shared: dict[str, Any]

    def __init__(self, network: Any, scheduler: Any) -> None:
        name = "unet" if isinstance(network, UNet2DConditionModel) else "transformer"
        setattr(self, name, network)
        self.scheduler, self.shared = scheduler, {}

    @property
    def denoiser(self) -> Any:
        """The network."""
        return vars(self).get("unet") or self.transformer

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        device: torch.device = self.denoiser.device
        return device

    def shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the latents of some images."""
        config = self.denoiser.config
        return (batch, config.in_channels, config.sample_size, config.sample_size)

    def time(self, t: torch.Tensor) -> torch.Tensor:
        """Time that the denoiser is given."""
        return t

    def guided(self, guess: torch.Tensor) -> torch.Tensor:
        """Prediction with guidance, from that of both rows of each image."""
        channels = self.denoiser.config.in_channels
        first, second = guess[:, :channels].chunk(2)
        return first + 4 * (second - first)
