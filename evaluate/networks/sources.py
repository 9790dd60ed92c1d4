"""The networks that metrics read, with their weights. Each is imported when it is first loaded."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from evaluate.networks.base import Source
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
SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("bundled", (), _from("bundled", "features")),
        Source("judge", (), _from("bundled", "judge")),
        Source("inception", (INCEPTION,), _from("inception", "pool")),
        Source("inception-spatial", (INCEPTION_PORT,), _from("inception", "spatial")),
        Source("inception-classes", (INCEPTION_PORT,), _from("inception", "classes")),
        Source("clip-b32", _SMALL[:2], _from("clip", "base")),
        Source("clip-l14-336", _LARGE[:2], _from("clip", "large")),
        Source("clip-score", _SMALL, _from("clip", "score")),
        Source("lpips", (ALEXNET,), _from("lpips", "load")),
        Source("image-reward", (REWARD, WORDS), _from("reward", "load")),
    )
}
