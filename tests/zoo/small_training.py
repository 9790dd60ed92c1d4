"""A training of one weight, and the recipe of the portraits by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.recipes import RECIPES
from zoo.training import diffusion

MODEL = "tiny-portraits"
RECIPE = RECIPES[MODEL]


class Small(nn.Module):
    """Parts of one weight, which predict it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: list[torch.dtype] = []

    def learning(self) -> dict[str, nn.Module]:
        return {"small": self}

    def predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        self.shapes.append(tuple(noisy.shape))
        # Matrix products are what autocast casts.
        self.dtypes.append((noisy[0, 0] @ noisy[0, 0]).dtype)
        return noisy * 0 + self.weight


def run(folder: Path, images: int, **settings: Any) -> tuple[Small, list[diffusion.Trainee]]:
    folder.mkdir(exist_ok=True)
    parts = Small()
    seen: list[diffusion.Trainee] = []
    plan = replace(diffusion.Plan(images, 0, batch=2, ranks=1, save_every=4), **settings)
    latents = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    tokens = torch.zeros(9, 3, dtype=torch.int64)
    diffusion.run_rank(0, parts, plan, latents, tokens, folder, seen.append)  # type: ignore[arg-type]
    return parts, seen
