"""What training and export ask of the parts of a bundled model, whatever its architecture."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn


class Parts(Protocol):
    """The parts of a pipeline, and how they are trained."""

    tokenizer: Any
    text_encoder: Any
    vae: Any

    def pipeline(self) -> Any:
        """The parts as a diffusers pipeline."""

    def learning(self) -> dict[str, nn.Module]:
        """What diffusion training changes, by its name in the pipeline."""

    def pool(self, tokens: Tensor) -> Tensor:
        """One vector per caption, `[n, width]`, of padded tokens `[n, length]`."""

    def predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """The guess of v, `[n, 4, h, w]` like the noisy latents; times are `[n]`."""
