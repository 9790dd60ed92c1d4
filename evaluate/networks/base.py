"""What every network file declares: its name, its weights, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluate.networks.weight_files import Weights

Pixels = NDArray[np.uint8]  # RGB, [h, w, 3]
Extract = Callable[[Sequence[Pixels], Sequence[str]], NDArray[np.floating[Any]]]


def nothing() -> None:
    """Nothing but files is needed."""


@dataclass(frozen=True)
class Source:
    """A network that can be loaded.

    Attributes:
        name: of the network.
        weights: files it needs, in the order that `load` takes them.
        load: files and device to the network, for most an `Extract`.
        check: raises a StrategyError where a package that it needs is not installed.
        version: changed whenever the same weights give other features, so that nothing old is read
            from the cache.
    """

    name: str
    weights: tuple[Weights, ...]
    load: Callable[[list[Path], str], Any]
    check: Callable[[], None] = nothing
    version: int = 1

    @property
    def identity(self) -> str:
        """What features of this network are cached by."""
        return ":".join([self.name, str(self.version), *(w.sha256 for w in self.weights)])
