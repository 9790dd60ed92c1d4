"""Drawn images on disk, so that scoring that was stopped goes on where it was.

An image is a PNG, written to another name first; what is missing is drawn, in batches. Each image
has its own seed, so it does not matter which are drawn together. The folder is named after all
that decides its images, and any other tool can score it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from accel.models.config import TEXT, ModelConfig
from evaluate import fingerprint
from evaluate.image_set import Side
from evaluate.images import input_images
from evaluate.images.generation import batches
from evaluate.images.image_files import read as read_image
from evaluate.images.prompts import Prompts
from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from strategies import Strategy
from strategies.data_files import whole

# Settings that do not change an image; the solver and the steps are the strategy's.
APART = {
    *("batch", "name", "space", "source", "search_prompts", "heldout_prompts"),
    *("scheduler", "steps", "inputs", "masks"),
}
FROM_IMAGES = {"task", "strength"}  # Of no meaning for text-to-image.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Store:
    """Where a model's images are kept.

    Attributes:
        folder: of all strategies.
        identity: of the model's weights.
    """

    folder: Path
    identity: str

    def place(self, config: ModelConfig, strategy: Strategy, device: str) -> Path:
        """The folder of a strategy's images, on whatever prompts."""
        apart = APART | (FROM_IMAGES if config.task == TEXT else set())
        decides = {
            "model": self.identity,
            "strategy": strategy.digest,
            "setting": config.model_dump(exclude=apart),
            "device": device.split(":")[0],
            "packages": fingerprint.versions(),
        }
        text = json.dumps(decides, sort_keys=True, default=str)
        setting = hashlib.sha256(text.encode()).hexdigest()
        return self.folder / f"{strategy.digest[:12]}-{setting[:12]}"

    def draw(
        self,
        name: str,
        pipe: Any,
        config: ModelConfig,
        strategy: Strategy,
        prompts: Prompts,
        networks: Networks,
        report: Report = lambda *_: None,
        start: int = 0,
    ) -> Side:
        """A strategy's images: what is not there is drawn, from image `start` on.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit, or the folder cannot be written.
        """
        folder = self.place(config, strategy, str(pipe.device))
        whole.make_folder(folder)
        count = len(prompts.texts)
        paths = paths_of(folder, prompts)
        todo = [i for i in range(start, count) if not _is_whole(paths[i])]
        done = count - start - len(todo)
        report(name, done, count - start)
        waiting = iter(todo)
        for batch in batches(pipe, config, strategy, prompts.at(todo)):
            for image in batch:
                write_image(paths[next(waiting)], image)
            done += len(batch)
            report(name, done, count - start)
        return Side(name, count, lambda i: read_image(paths[i]), prompts.texts, networks)


def paths_of(folder: Path, prompts: Prompts) -> list[Path]:
    """Of each prompt's image, named after all that it is drawn from."""
    marks = input_images.marks(prompts)
    found = []
    for index, (seed, text) in enumerate(zip(prompts.seeds, prompts.texts, strict=True)):
        key = f"{seed}\n{text}" + (f"\n{marks[index]}" if marks else "")
        name = f"{index:05d}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.png"
        found.append(folder / name)
    return found


def _is_whole(path: Path) -> bool:
    """Whether an image is there and its checksums are right; a damaged one is drawn anew."""
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError):
        return False
    return True


def write_image(path: Path, image: Pixels) -> None:
    """Write the file of an image, all of it or nothing."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png", compress_level=1)
    whole.write(buffer.getvalue(), path)


def identity(source: str) -> str:
    """What tells a model's weights from others', by content.

    Raises:
        StrategyError: the model is not here.
    """
    return fingerprint.combined(fingerprint.weights(source))
