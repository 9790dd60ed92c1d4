"""The bundled networks, which only know the bundled models' images: 64 features, and the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import zoo
from evaluate.networks.base import Extract, Pixels, Source
from zoo import judging, networks

KINDS = tuple(networks.GROUPS)  # What the judge looks at, one column each.


def _tensor(images: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _features(_: list[Path], device: str) -> Extract:
    network = networks.load(networks.FeatureNet, zoo.networks_folder() / "features.safetensors")
    network = network.to(device)

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        found: NDArray[np.float32] = network.features(_tensor(images).to(device)).cpu().numpy()
        return found

    return extract


def _judge(_: list[Path], device: str) -> Extract:
    judge = networks.load(networks.JudgeNet, zoo.networks_folder() / "judge.safetensors")

    def extract(images: Sequence[Pixels], texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        right = judging.right(judge, _tensor(images), texts)
        return np.stack([right[kind].numpy() for kind in KINDS], axis=1)

    return extract


FEATURES = Source("bundled", (), _features)
JUDGE = Source("judge", (), _judge)
