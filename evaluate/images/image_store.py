"""Store of generated images on disk, so that interrupted scoring can resume.

Each image is a PNG file, written completely before it gets its name. Missing images are generated
in batches. Each has its own seed, so the batches do not matter. The folder's name depends on
everything that decides its images, and other tools can score it.
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
from accel.models.parts import ModelParts
from accel.pipelines.devices import device_of
from evaluate import fingerprint, model_files
from evaluate.image_set import ImageSet
from evaluate.images import image_files, input_images
from evaluate.images.generation import generate_batches
from evaluate.images.image_files import read_image as read_image
from evaluate.images.prompts import Prompts
from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from strategies import Strategy
from strategies.data_files import whole

# Settings that do not change an image; the solver and the steps are the strategy's.
APART = {
    *("batch", "name", "space", "source", "search_prompts", "heldout_prompts"),
    *(
        "base",
        "loras",
        "vae",
        "embeddings",
        "controlnet",
    ),  # By content, in the fingerprint of the weights.
    *("scheduler", "steps", "inputs", "masks"),
}
FROM_IMAGES = {"task", "strength"}  # Without effect on text-to-image.
OF_VIDEOS = {"frames", "scored_frames"}  # Without effect on images.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageStore:
    """Folder of a model's images.

    Attributes:
        folder: folder of all strategies.
        fingerprint_of_weights: fingerprint of the model's weights.
    """

    folder: Path
    fingerprint_of_weights: str

    def folder_of(self, config: ModelConfig, strategy: Strategy, device: str) -> Path:
        """Folder of a strategy's images, for all prompts."""
        apart = APART | (FROM_IMAGES if config.task == TEXT else set())
        apart |= set() if config.frames else OF_VIDEOS
        decides = {
            "model": self.fingerprint_of_weights,
            "strategy": strategy.digest,
            "setting": config.model_dump(exclude=apart),
            "device": device.split(":")[0],
            "packages": fingerprint.package_versions(),
        }
        text = json.dumps(decides, sort_keys=True, default=str)
        setting = hashlib.sha256(text.encode()).hexdigest()
        return self.folder / f"{strategy.digest[:12]}-{setting[:12]}"

    def generate(
        self,
        name: str,
        pipe: Any,
        config: ModelConfig,
        strategy: Strategy,
        prompts: Prompts,
        networks: Networks,
        report: Report = lambda *_: None,
        start: int = 0,
        settle: Callable[[list[int]], list[int]] = list,
    ) -> ImageSet:
        """Images of a strategy; missing ones are generated, from image `start` on.

        Processes that generate together must find the same images missing: `settle` turns those
        that this one misses into those that all of them generate.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit, or the folder cannot be written.
        """
        folder = self.folder_of(config, strategy, str(device_of(pipe)))
        whole.make_folder(folder)
        count = len(prompts.texts)
        paths = paths_of(folder, prompts)
        todo = settle([i for i in range(start, count) if not _is_whole(paths[i])])
        done = count - start - len(todo)
        report(name, done, count - start)
        waiting = iter(todo)
        for batch in generate_batches(pipe, config, strategy, prompts.at(todo)):
            for image in batch:
                write_image(paths[next(waiting)], image)
            done += len(batch)
            report(name, done, count - start)
        return ImageSet(name, count, lambda i: read_image(paths[i]), prompts.texts, networks)


def paths_of(folder: Path, prompts: Prompts) -> list[Path]:
    """Path of each prompt's image, named after everything that decides the image."""
    marks = input_images.marks(prompts)
    found = []
    for index, (seed, text) in enumerate(zip(prompts.seeds, prompts.texts, strict=True)):
        key = f"{seed}\n{text}" + (f"\n{marks[index]}" if marks else "")
        name = f"{index:05d}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.png"
        found.append(folder / name)
    return found


def _is_whole(path: Path) -> bool:
    """Whether an image exists and its checksums are right; a damaged one is generated again."""
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError):
        return False
    return True


def write_image(path: Path, image: Pixels) -> None:
    """Write an image file completely or not at all."""
    buffer = io.BytesIO()
    image_files.write_png(image, buffer, compress_level=1)
    whole.write(buffer.getvalue(), path)


def model_fingerprint(source: str, parts: ModelParts | None = None) -> str:
    """Fingerprint of a model's weights, by content.

    Args:
        source: see `evaluate.fingerprint.weight_digests`.
        parts: parts beside the source.

    Raises:
        StrategyError: the model is not on this machine.
    """
    return fingerprint.combined(model_files.model_digests(source, parts))
