"""LPIPS of each image to the unaccelerated one (Zhang et al., 2018, 1801.03924), with AlexNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evaluate.metrics.shared import paired
from evaluate.networks import Networks
from evaluate.networks.base import Pixels

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(image: Pixels) -> Tensor:
    import torch

    return torch.from_numpy(image).movedim(-1, 0)[None].float() / 255


def _compare(networks: Networks) -> Callable[[Pixels, Pixels], float]:
    import torch

    distance = networks.load("lpips")

    @torch.inference_mode()
    def lpips(image: Pixels, base: Pixels) -> float:
        return float(distance(_tensor(image), _tensor(base)))

    return lpips


METRIC = paired.make("lpips", "LPIPS", "lower", "lpips", _compare, "1801.03924", "{:.3f}")
