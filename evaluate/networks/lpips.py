"""LPIPS (Zhang et al., 2018) with AlexNet, by torchmetrics, which carries the trained weighting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image.lpips import _lpips_update
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

Distance = Callable[[Tensor, Tensor], Tensor]


def load_lpips(files: list[Path], device: str) -> Distance:
    """Distances `[n]` between pairs of RGB `[n, 3, h, w]` in [0, 1]."""
    former = torch.hub.get_dir()
    # Torchvision looks for its weights in the hub's folder; ours has them, so none is fetched.
    torch.hub.set_dir(str(files[0].parent.parent))
    try:
        network: Any = LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    finally:
        torch.hub.set_dir(former)
    network = network.net.to(device).eval()

    def distance(images: Tensor, others: Tensor) -> Tensor:
        found: Tensor = _lpips_update(images.to(device), others.to(device), network, True)
        return found.reshape(-1).cpu()

    return distance
