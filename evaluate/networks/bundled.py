"""Bundled networks, which only know the images of their subject: 64 features, and the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluate.networks.base import Extract, Pixels
from zoo import judging, networks
from zoo.subjects import subject_of_networks


def _tensor(images: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def bundled_features(files: list[Path], device: str) -> Extract:
    """64 features of each image, by the network in a subject's folder."""
    subject = subject_of_networks(files[0])
    network = networks.load_network(subject.features, files[0] / "features.safetensors").to(device)

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        found: NDArray[np.float32] = network.features(_tensor(images).to(device)).cpu().numpy()
        return found

    return extract


def bundled_judge(files: list[Path], device: str) -> Extract:
    """Agreement of each image with its caption, a share for each of the subject's `scores`."""
    subject = subject_of_networks(files[0])
    network = networks.load_network(subject.judge, files[0] / "judge.safetensors")

    def extract(images: Sequence[Pixels], texts: Sequence[str]) -> NDArray[np.floating[Any]]:
        right = judging.right(network, _tensor(images), texts, subject, subject.scores)
        return np.stack([right[kind].numpy() for kind in subject.scores], axis=1)

    return extract
