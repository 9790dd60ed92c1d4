"""The networks that metrics read, with their weights. Each is imported when it is first loaded."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from evaluate.networks.base import NetworkSource
from evaluate.networks.weight_files import (
    ALEXNET,
    INCEPTION,
    INCEPTION_PORT,
    REWARD,
    WORDS,
    clip_files,
)


def _from(file: str, name: str) -> Callable[[list[Path], str], Any]:
    """The function of a file of this folder that loads a network."""

    def load(files: list[Path], device: str) -> Any:
        return getattr(import_module(f"evaluate.networks.{file}"), name)(files, device)

    return load


_SMALL, _LARGE = map(
    clip_files, ("openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14-336")
)
SOURCES: dict[str, NetworkSource] = {
    source.name: source
    for source in (
        NetworkSource("bundled", (), _from("bundled", "bundled_features"), bundled=True),
        NetworkSource("judge", (), _from("bundled", "bundled_judge"), bundled=True),
        NetworkSource("inception", (INCEPTION,), _from("inception", "pooled_features")),
        NetworkSource("inception-spatial", (INCEPTION_PORT,), _from("inception", "spatial")),
        NetworkSource(
            "inception-classes", (INCEPTION_PORT,), _from("inception", "class_probabilities")
        ),
        NetworkSource("clip-b32", _SMALL[:2], _from("clip", "base")),
        NetworkSource("clip-l14-336", _LARGE[:2], _from("clip", "large")),
        NetworkSource("clip-score", _SMALL, _from("clip", "caption_scores")),
        NetworkSource("lpips", (ALEXNET,), _from("lpips", "load_lpips")),
        NetworkSource("image-reward", (REWARD, WORDS), _from("reward", "load_reward")),
    )
}
