"""Prompts and the seed of each one's noise: text files, ImageNet's classes, PartiPrompts, COCO.

Prompt `i` always has seed `seed * 1_000_003 + i`. Batch size, worker and number of images do not
matter, and fewer prompts are always the first of more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from accel.models.config import IMAGENET
from evaluate.images import prompt_files
from strategies import StrategyError
from strategies.data_files.places import sibling_folder

TEMPLATE = "A high quality photograph of a {}."  # The text of ToMe for SD, CA-ToMe and DaTo.
PER_CLASS = 2


@dataclass(frozen=True)
class Prompts:
    """A fixed list of prompts and the seed of each one's initial noise.

    Attributes:
        texts: text of each prompt.
        seeds: seed of each prompt's noise.
        labels: ImageNet class of each prompt, if they are classes; else empty.
        inputs: path of each prompt's input image; empty for text-to-image.
        masks: path of each input image's mask, for inpainting; else empty.
    """

    texts: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()

    def first(self, count: int) -> Prompts:
        """The first `count` prompts.

        Raises:
            StrategyError: there are fewer.
        """
        if not 1 <= count <= len(self.texts):
            raise StrategyError(f"{count} prompts asked for; this list has {len(self.texts)}")
        return self.at(range(count))

    def at(self, indices: Any) -> Prompts:
        """The prompts at some indices."""
        chosen = list(indices)
        columns = (self.texts, self.seeds, self.labels, self.inputs, self.masks)
        return Prompts(*(tuple(column[i] for i in chosen) if column else () for column in columns))

    def reseeded(self, seed: int) -> Prompts:
        """The same prompts with other noise."""
        return replace(self, seeds=_seeds(seed, len(self.texts)))


def load_prompts(source: str, seed: int) -> Prompts:
    """Prompts by name or from a file.

    Args:
        source: `imagenet`, for two prompts of each class in a fixed shuffled order; `zoo:NAME` for
            a list that comes with the package; or a file. A `.tsv` or `.csv` file has a column
            `Prompt` as PartiPrompts has (or `Caption`, or `Text`). A `.json` file has COCO's
            `annotations` (the first caption of each image) or a list of texts. A `.jsonl` file has
            one text or object in each line, other files one prompt per line.
        seed: seed of the noise.

    Raises:
        StrategyError: the file cannot be read, has another form, or is empty.
    """
    if source == IMAGENET:
        return _imagenet(seed)
    if source.startswith("zoo:"):
        path = sibling_folder("zoo") / "prompts" / f"{source.removeprefix('zoo:')}.txt"
    else:
        path = Path(source)
    try:
        texts = prompt_files.read_prompt_file(path)
    except OSError as error:
        raise StrategyError(
            f"prompts {source!r} cannot be read ({error.strerror or error}); give {IMAGENET}, "
            f"zoo:search, zoo:heldout or a {prompt_files.SUFFIXES} file"
        ) from None
    return Prompts(tuple(texts), _seeds(seed, len(texts)))


def class_names() -> list[str]:
    """Names of ImageNet's 1000 classes."""
    from torchvision.models import Inception_V3_Weights

    return list(Inception_V3_Weights.IMAGENET1K_V1.meta["categories"])


def _imagenet(seed: int) -> Prompts:
    names = class_names()
    # Classes are sorted by kin: the first 64 are fish and birds. Any few shall be of every kind.
    order = np.random.default_rng(0).permutation(len(names)).tolist() * PER_CLASS
    texts = tuple(TEMPLATE.format(names[label]) for label in order)
    return Prompts(texts, _seeds(seed, len(texts)), tuple(order))


def _seeds(seed: int, count: int) -> tuple[int, ...]:
    return tuple(seed * 1_000_003 + index for index in range(count))
