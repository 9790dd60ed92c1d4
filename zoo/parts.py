"""Interface of the parts of a bundled model, as training and export use it for any architecture."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn


class Parts(Protocol):
    """Parts of a pipeline, and the way they are trained."""

    tokenizer: Any
    text_encoder: Any
    vae: Any

    def pipeline(self) -> Any:
        """The parts as a diffusers pipeline."""

    def learning(self) -> dict[str, nn.Module]:
        """Modules that diffusion training changes, by name in the pipeline."""

    def pool(self, tokens: Tensor) -> Tensor:
        """One vector per caption, `[n, width]`, of padded tokens `[n, length]`."""

    def predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Prediction of v, `[n, 4, h, w]` like the noisy latents; times are `[n]`."""
