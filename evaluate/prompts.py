"""Prompts and the seed of each one's noise: text files, ImageNet's classes, PartiPrompts, COCO.

Prompt `i` always has seed `seed * 1_000_003 + i`, so that neither batch size, nor worker, nor how
many are drawn matters, and fewer prompts are always the first of more.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.models import Inception_V3_Weights

from strategies import StrategyError

IMAGENET = "imagenet"
TEMPLATE = "A high quality photograph of a {}."  # As ToMe for SD, CA-ToMe and DaTo have it.
PER_CLASS = 2


@dataclass(frozen=True)
class Prompts:
    """A fixed list of prompts and the seed of each one's initial noise.

    Attributes:
        texts: what to draw.
        seeds: one for each.
        labels: ImageNet class of each, where they are classes; else empty.
    """

    texts: tuple[str, ...]
    seeds: tuple[int, ...]
    labels: tuple[int, ...] = ()

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
        return Prompts(
            tuple(self.texts[i] for i in indices),
            tuple(self.seeds[i] for i in indices),
            tuple(self.labels[i] for i in indices) if self.labels else (),
        )

    def reseeded(self, seed: int) -> Prompts:
        """The same prompts with other noise."""
        return Prompts(self.texts, _seeds(seed, len(self.texts)), self.labels)


def read(source: str, seed: int) -> Prompts:
    """Prompts by name or from a file.

    Args:
        source: `imagenet`, for two prompts of each class in a fixed shuffled order; `zoo:NAME` for
            a list that comes with the package; or a file: `.tsv` with a column `Prompt` as
            PartiPrompts has, `.json` with COCO's `annotations` (the first caption of each image) or
            a list of texts, otherwise one prompt per line.
        seed: of the noise.

    Raises:
        StrategyError: the file cannot be read, is of another form, or is empty.
    """
    if source == IMAGENET:
        return _imagenet(seed)
    try:
        if source.startswith("zoo:"):
            name = source.removeprefix("zoo:")
            text = (resources.files("zoo") / "prompts" / f"{name}.txt").read_text("utf-8")
        else:
            text = Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StrategyError(
            f"prompts {source!r} cannot be read ({error}); give {IMAGENET}, zoo:search, "
            "zoo:heldout or a .txt, .tsv or .json file"
        ) from None
    form = FORMS.get(Path(source).suffix.lower(), _lines)
    texts = tuple(" ".join(one.split()) for one in form(source, text) if one.strip())
    if not texts:
        raise StrategyError(f"prompts {source!r} hold no line of text")
    return Prompts(texts, _seeds(seed, len(texts)))


def classes() -> list[str]:
    """The names of ImageNet's 1000 classes."""
    return list(Inception_V3_Weights.IMAGENET1K_V1.meta["categories"])


def _imagenet(seed: int) -> Prompts:
    names = classes()
    # Classes are sorted by kin: the first 64 are fish and birds. Any few shall be of every kind.
    order = np.random.default_rng(0).permutation(len(names)).tolist() * PER_CLASS
    texts = tuple(TEMPLATE.format(names[label]) for label in order)
    return Prompts(texts, _seeds(seed, len(texts)), tuple(order))


def _seeds(seed: int, count: int) -> tuple[int, ...]:
    return tuple(seed * 1_000_003 + index for index in range(count))


def _lines(_: str, text: str) -> list[str]:
    return text.splitlines()


def _table(source: str, text: str) -> list[str]:
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if "Prompt" not in (rows.fieldnames or []):
        raise StrategyError(f"prompts {source!r}: no column Prompt, only {rows.fieldnames}")
    return [row["Prompt"] or "" for row in rows]


def _json(source: str, text: str) -> list[str]:
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            captions: dict[int, str] = {}
            for row in sorted(data["annotations"], key=lambda row: (row["image_id"], row["id"])):
                captions.setdefault(row["image_id"], row["caption"])
            data = list(captions.values())
        if not isinstance(data, list) or not all(isinstance(one, str) for one in data):
            raise TypeError("entries that are not texts")
    except (ValueError, KeyError, TypeError) as error:
        raise StrategyError(
            f"prompts {source!r} must be a list of texts or COCO captions with annotations, each "
            f"of image_id, id and caption ({type(error).__name__}: {error})"
        ) from None
    return data


FORMS: dict[str, Callable[[str, str], list[str]]] = {".tsv": _table, ".json": _json}
