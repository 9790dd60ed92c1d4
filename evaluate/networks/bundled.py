"""Bundled networks, which only know the bundled models' images: 64 features, and the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import zoo
from evaluate.networks.base import Extract, Pixels
from zoo import judging, networks
from zoo.data import GROUPS

KINDS = tuple(GROUPS)  # Kinds of answers of the judge, one column each.


def _tensor(images: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def bundled_features(_: list[Path], device: str) -> Extract:
    """64 features of each image."""
    network = networks.load_network(
        networks.FeatureNet, zoo.networks_folder() / "features.safetensors"
    )
    network = network.to(device)

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        found: NDArray[np.float32] = network.features(_tensor(images).to(device)).cpu().numpy()
        return found

    return extract


def bundled_judge(_: list[Path], device: str) -> Extract:
    """Agreement of each image with its caption, a share for each of `KINDS`."""
    network = networks.load_network(networks.JudgeNet, zoo.networks_folder() / "judge.safetensors")

    def extract(images: Sequence[Pixels], texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        right = judging.right(network, _tensor(images), texts)
        return np.stack([right[kind].numpy() for kind in KINDS], axis=1)

    return extract
