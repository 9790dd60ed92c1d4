"""Two classifiers of the procedural images, deliberately unlike each other.

`FeatureNet` gives the 64-d features over which FD and KID are computed. `JudgeNet` decides whether
a generated image shows what its caption says. The two share neither architecture, nor weights, nor
training seed, so that a strategy cannot satisfy both by one mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo.data import GROUPS, LABELS

FEATURES = 64
Network = TypeVar("Network", bound=nn.Module)
# Inputs, outputs, kernel and stride of the feature network's convolutions.
CONVOLUTIONS = (
    (3, 32, 3, 1),
    (32, 64, 3, 2),
    (64, 64, 3, 1),
    (64, 96, 3, 2),
    (96, 96, 3, 1),
    (96, 128, 3, 2),
)


class FeatureNet(nn.Module):
    """A plain strided CNN with a 64-d bottleneck that all its heads read."""

    def __init__(
        self,
        labels: Mapping[str, int] = LABELS,
        convolutions: tuple[tuple[int, int, int, int], ...] = CONVOLUTIONS,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, stride in convolutions:
            padding = (kernel - stride + 1) // 2
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.bottleneck = nn.Linear(128 * 16, FEATURES)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, 96), nn.ReLU(), nn.Linear(96, n))
                for name, n in labels.items()
            }
        )

    def features(self, images: Tensor) -> Tensor:
        """RGB in [0, 1], `[n, 3, h, w]`, to features `[n, 64]`."""
        hidden: Tensor = self.bottleneck(self.body(images * 2 - 1))
        return hidden

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of each label, `[n, classes]`."""
        hidden = self.features(images)
        return {name: head(hidden) for name, head in self.heads.items()}


class JudgeNet(nn.Module):
    """A residual CNN with group norm; every head reads the image with its own attention map."""

    def __init__(
        self, labels: Mapping[str, int] = LABELS, width: int = 48, kernel: int = 5, stride: int = 2
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, kernel, stride, (kernel - stride + 1) // 2)
        self.blocks = nn.ModuleList(_Residual(width) for _ in range(4))
        self.place = nn.Parameter(torch.zeros(1, width, 16, 16))
        self.looks = nn.ModuleDict({name: nn.Conv2d(width, 4, 1) for name in labels})
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(4 * width, 64), nn.GELU(), nn.Linear(64, n))
                for name, n in labels.items()
            }
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """RGB in [0, 1], `[n, 3, h, w]`, to logits of each label, `[n, classes]`."""
        hidden = self.stem(images * 2 - 1)
        place = nn.functional.interpolate(self.place, hidden.shape[-2:], mode="bilinear")
        hidden = hidden + place
        for index, block in enumerate(self.blocks):
            if index == 2:
                hidden = nn.functional.avg_pool2d(hidden, 2)
            hidden = block(hidden)
        flat = hidden.flatten(2)
        logits = {}
        for name, look in self.looks.items():
            weights = look(hidden).flatten(2).softmax(-1)
            logits[name] = self.heads[name](torch.einsum("nkp,ncp->nkc", weights, flat).flatten(1))
        return logits


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        changed: Tensor = hidden + self.body(hidden)
        return changed


def accuracy(
    logits: dict[str, Tensor],
    labels: Tensor,
    groups: Mapping[str, tuple[str, ...]] = GROUPS,
) -> dict[str, float]:
    """Share of right answers per group of labels, over the objects that exist.

    Args:
        logits: result of a network's `forward`, one entry per column of `labels`.
        labels: int64 `[n, columns]`, -1 if there is nothing to answer.
        groups: columns that are scored together, by name.
    """
    scores = {}
    for group, names in groups.items():
        right = exists = 0
        for name in names:
            column = labels[:, list(logits).index(name)]
            right += int((logits[name].argmax(-1) == column).sum())
            exists += int((column >= 0).sum())
        scores[group] = right / exists
    return scores


def load_network(kind: Callable[[], Network], path: Path) -> Network:
    """A trained network in evaluation mode, without gradients."""
    network = kind()
    network.load_state_dict(load_file(path))
    return network.eval().requires_grad_(False)
