"""Networks that turn images into what metrics compare, one file each, loaded once and when needed.

Every network takes 8-bit images, so that what is scored is what is saved, and rows never depend on
which other images are in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluate.networks.base import Extract, Pixels
from evaluate.networks.sources import SOURCES
from evaluate.networks.weight_files import find
from evaluate.networks.weight_files import require as weights_there
from strategies import StrategyError


@dataclass
class Networks:
    """The networks of one device.

    Attributes:
        device: such as `cpu` or `cuda:0`.
        download: whether missing weights may be fetched.
        batch: images that go through a network at once.
    """

    device: str = "cpu"
    download: bool = False
    batch: int = 64
    loaded: dict[str, Any] = field(default_factory=dict)

    def load(self, name: str) -> Any:
        """A network by its source's name.

        Raises:
            MissingWeightsError: its weights are not on disk.
            StrategyError: no such network.
        """
        if name not in SOURCES:
            raise StrategyError(f"network {name!r} is unknown; there are {', '.join(SOURCES)}")
        if name not in self.loaded:
            source = SOURCES[name]
            files = [find(weights, self.download) for weights in source.weights]
            self.loaded[name] = source.load(files, self.device)
        return self.loaded[name]

    def extract(
        self, name: str, images: Iterable[Pixels], texts: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """What a network says of images, float32 `[n, d]`.

        Args:
            name: of the network.
            images: RGB `[h, w, 3]`, of any sizes.
            texts: a caption for each, where the network reads them.
        """
        import torch  # Here, so that a run is read without it.

        network: Extract = self.load(name)
        rows, waiting, done = [], list[Pixels](), 0

        def flush() -> None:
            nonlocal waiting, done
            captions = () if texts is None else texts[done : done + len(waiting)]
            with torch.inference_mode():
                rows.append(network(waiting, captions))
            done, waiting = done + len(waiting), []

        for image in images:
            waiting.append(image)
            if len(waiting) == self.batch:
                flush()
        if waiting:
            flush()
        return np.concatenate(rows).astype(np.float32)


def require(names: Iterable[str], download: bool = False) -> None:
    """See that the weights of networks are on disk, or fetch them.

    Raises:
        MissingWeightsError: they are not; names all that are missing.
        StrategyError: one cannot be fetched or is damaged, or its network needs another package.
    """
    sources = [SOURCES[name] for name in dict.fromkeys(names)]
    for source in sources:
        source.check()
    files = [weights for source in sources for weights in source.weights]
    weights_there(files, download)
    for weights in files:
        find(weights, download)


def missing(names: Iterable[str]) -> str:
    """Why one of these networks cannot be loaded from disk, in a line; empty where all can."""
    for name in names:
        try:
            require([name])
        except StrategyError as error:
            return str(error)
    return ""


__all__ = ["SOURCES", "Networks", "missing", "require"]
