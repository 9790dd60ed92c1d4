"""A table that draws what it does not have, and keeps it for all searches."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from accel.models.config import read_model
from benchmarks.search_quality.table_lookup import SIZES, Table
from evaluate import Evaluator
from strategies import Strategy


class Drawn(Table):
    """A table that draws what it does not have, and keeps it for all searches.

    Args:
        model: whose table.
        folder: folder of generated strategies, each next to its features.
        answers: whether a search is answered by drawing, else by the table.
    """

    def __init__(self, model: str, folder: Path, answers: bool = True) -> None:
        super().__init__(model)
        self.folder, self.answers = folder, answers
        folder.mkdir(parents=True, exist_ok=True)
        self.evaluator = Evaluator(read_model(model))

    def figure(self, strategy: Strategy, images: int) -> float:
        """FD to the unaccelerated images on so many, drawn."""
        if not self.answers:
            return super().figure(strategy, images)
        digest = strategy.digest
        if (digest, images) not in self.seen:
            whole = self._path(digest, "search", SIZES[-1]).exists()
            count = SIZES[-1] if whole else images
            features = self.read(strategy, "search", count).astype(float)
            self.features[digest] = features
            sizes = [n for n in SIZES if n <= count]
            self.seen |= {(digest, n): self._measured(features, n) for n in sizes}
        return self.seen[digest, images]

    def _path(self, digest: str, split: str, images: int) -> Path:
        return self.folder / f"{split}-{images}-{digest}.safetensors"

    def read(self, strategy: Strategy, split: str, images: int) -> NDArray[np.float32]:
        """Features of the first images of a split, from the folder where they are there."""
        path = self._path(strategy.digest, split, images)
        if not path.exists():
            chosen = self.evaluator.prompts[split].first(images)  # type: ignore[index]
            drawn = self.evaluator.generate("drawn", strategy, chosen).features("bundled")
            part = path.with_suffix(f".part{os.getpid()}")
            text = json.dumps(strategy.to_json())
            save_file({"features": np.asarray(drawn, np.float32)}, part, {"strategy": text})
            part.replace(path)
        found: NDArray[np.float32] = load_file(path)["features"]
        return found
