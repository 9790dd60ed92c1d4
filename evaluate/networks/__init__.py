"""Networks from images to features, one file each, loaded once and on request.

Every network takes 8-bit images, so that scored and saved images are the same. A row never depends
on the other images in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zoo
from evaluate.networks.base import Extract, Pixels, frames_of
from evaluate.networks.sources import SOURCES
from evaluate.networks.weight_files import find_weight_file
from evaluate.networks.weight_files import require_weight_files as weights_there
from strategies import StrategyError


@dataclass
class Networks:
    """The networks of one device.

    Attributes:
        device: target device, such as `cpu` or `cuda:0`.
        download: whether missing weights may be fetched.
        batch: number of images that go through a network at once.
        subject: subject whose images the bundled networks know, a value of `zoo.SUBJECTS`.
    """

    device: str = "cpu"
    download: bool = False
    batch: int = 64
    subject: str = "shapes"
    loaded: dict[str, Any] = field(default_factory=dict)

    def load(self, name: str) -> Any:
        """A network by its name.

        Raises:
            MissingWeightsError: its weights are not on disk.
            StrategyError: no such network.
        """
        if name not in SOURCES:
            raise StrategyError(f"network {name!r} is unknown; there are {', '.join(SOURCES)}")
        if name not in self.loaded:
            source = SOURCES[name]
            files = [find_weight_file(weights, self.download) for weights in source.weights]
            if source.bundled:
                files = [zoo.networks_folder(self.subject)]
            self.loaded[name] = source.load(files, self.device)
        return self.loaded[name]

    def extract(
        self, name: str, images: Iterable[Pixels], texts: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """Features of images by a network, float32 `[n, d]`; of videos the mean over the frames.

        Args:
            name: name of the network.
            images: RGB `[h, w, 3]`, of any sizes, or videos `[frames, h, w, 3]`.
            texts: caption of each image, if the network reads captions.
        """
        import torch  # Here, so that a run is read without it.

        network: Extract = self.load(name)
        rows, waiting, done = [], list[Pixels](), 0

        def flush() -> None:
            nonlocal waiting, done
            captions = () if texts is None else texts[done : done + len(waiting)]
            frames = [frames_of(one) for one in waiting]
            every = [frame for video in frames for frame in video]
            again = [c for c, video in zip(captions, frames, strict=False) for _ in video]
            with torch.inference_mode():
                found = network(every, again)
            if len(every) > len(waiting):
                parts = np.split(found, np.cumsum([len(video) for video in frames])[:-1])
                found = np.stack([part.mean(0) for part in parts])
            rows.append(found)
            done, waiting = done + len(waiting), []

        for image in images:
            waiting.append(image)
            if len(waiting) == self.batch:
                flush()
        if waiting:
            flush()
        return np.concatenate(rows).astype(np.float32)


def require_networks(names: Iterable[str], download: bool = False) -> None:
    """Check that the weights of networks are on disk, or fetch them.

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
        find_weight_file(weights, download)


def why_missing(names: Iterable[str]) -> str:
    """Reason why one of these networks cannot be loaded from disk, in a line; empty if all can."""
    for name in names:
        try:
            require_networks([name])
        except StrategyError as error:
            return str(error)
    return ""


__all__ = ["SOURCES", "Networks", "require_networks", "why_missing"]
