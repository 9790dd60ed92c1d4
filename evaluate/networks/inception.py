"""Inception-v3 of 2015, as every FID uses it: pooled features, spatial features, classes.

The pooled features come from the TorchScript file that clean-fid's clean mode loads, after
clean-fid's own resizing (Parmar et al., 2022). That file has no other output. Spatial features and
classes therefore come from the port of the same weights by pytorch-fid, whose blocks clean-fid
contains.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from cleanfid import inception_pytorch as blocks
from cleanfid.resize import build_resizer
from numpy.typing import NDArray
from torch import Tensor, nn

from evaluate.networks.base import Extract, Pixels
from evaluate.networks.weight_files import INCEPTION_PORT

SPATIAL_CHANNELS = 7  # Channels of mixed_6/conv: 2,023 numbers, about as many as pooled.
SIZE = 299


def resized_images(images: Sequence[Pixels]) -> Tensor:
    """Images after clean-fid's clean resizing, each separately: float32 `[n, 3, 299, 299]` in [0,
    255].
    """
    resize = build_resizer("clean")
    return torch.from_numpy(np.stack([resize(image) for image in images])).permute(0, 3, 1, 2)


def pooled_features(files: list[Path], device: str) -> Extract:
    """Pooled features, by the weights that clean-fid reads."""
    # Clean-fid's own loader wants a folder and goes to the network where the file is not in it.
    from cleanfid.inception_torchscript import InceptionV3W

    network = InceptionV3W(os.fspath(files[0].parent), download=False).to(device).eval()

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        features: NDArray[np.float32] = network(resized_images(images).to(device)).cpu().numpy()
        return features

    return extract


def port() -> Any:
    """The network of pytorch-fid without weights."""
    network = torchvision.models.inception_v3(
        weights=None, num_classes=1008, aux_logits=False, init_weights=False
    )
    network.Mixed_5b = blocks.FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = blocks.FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = blocks.FIDInceptionA(288, pool_features=64)
    for name, channels in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        setattr(network, f"Mixed_{name}", blocks.FIDInceptionC(768, channels_7x7=channels))
    network.Mixed_7b = blocks.FIDInceptionE_1(1280)
    network.Mixed_7c = blocks.FIDInceptionE_2(2048)
    return network


def _ported(path: Path, device: str) -> Any:
    network = port()
    # The file is there, so nothing is fetched; it holds tensors only.
    state = torch.hub.load_state_dict_from_url(
        INCEPTION_PORT.url, model_dir=str(path.parent), map_location="cpu", weights_only=True
    )
    network.load_state_dict(state)
    return network.to(device).eval().requires_grad_(False)


def spatial(files: list[Path], device: str) -> Extract:
    """Spatial features, of the first channels of an inner layer."""
    network = _ported(files[0], device)
    seen: list[Tensor] = []
    network.Mixed_6d.branch1x1.register_forward_hook(lambda *call: seen.append(call[-1]))

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        seen.clear()
        network((resized_images(images).to(device) - 128) / 128)
        found: NDArray[np.float32] = seen[0][:, :SPATIAL_CHANNELS].flatten(1).cpu().numpy()
        return found

    return extract


def class_probabilities(files: list[Path], device: str) -> Extract:
    """Probabilities of the classes."""
    network = _ported(files[0], device)
    # Without the last layer's bias, as the first implementation of the score had it.
    network.fc.bias = nn.Parameter(torch.zeros_like(network.fc.bias), requires_grad=False)

    def extract(images: Sequence[Pixels], _: Sequence[str]) -> NDArray[np.floating[Any]]:
        logits: Tensor = network((resized_images(images).to(device) - 128) / 128)
        found: NDArray[np.float32] = logits.softmax(-1).cpu().numpy()
        return found

    return extract
