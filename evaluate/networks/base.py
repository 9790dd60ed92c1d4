"""Declaration of a network: its name, its weights, and the function that loads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluate.networks.weight_files import PublishedFile

Pixels = NDArray[np.uint8]  # RGB, [h, w, 3]; of a video [frames, h, w, 3].
Extract = Callable[[Sequence[Pixels], Sequence[str]], NDArray[np.floating[Any]]]


def frames_of(image: Pixels) -> list[Pixels]:
    """Frames of a video; an image is its only one."""
    return [image] if image.ndim == 3 else list(image)


def nothing() -> None:
    """Check for networks that need only files: it accepts everything."""


@dataclass(frozen=True)
class NetworkSource:
    """A network that can be loaded.

    Attributes:
        name: name of the network.
        weights: files that it needs, in the order that `load` takes them.
        load: function from files and device to the network, for most an `Extract`.
        check: function that raises a StrategyError if a package that it needs is not installed.
        bundled: whether its weights come with the package, in the folder of the networks of a
            subject; `load` takes this folder.
        version: number that changes whenever the same weights give other features, so that old ones
            are not read from the cache.
    """

    name: str
    weights: tuple[PublishedFile, ...]
    load: Callable[[list[Path], str], Any]
    check: Callable[[], None] = nothing
    bundled: bool = False
    version: int = 1

    @property
    def cache_key(self) -> str:
        """Identity of this network's features in the cache."""
        return ":".join([self.name, str(self.version), *(w.sha256 for w in self.weights)])
