"""Unaccelerated images that another run has generated.

Those of the bundled models in their usual setting ship with the package. Those of any model are
kept in the cache folder, by its weights, setting, prompts and package versions. They are copied to
where the workers of a run look for images, but only if this machine generates the first prompt of
the search alike.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.config import ModelConfig
from evaluate import array_files, fingerprint
from evaluate.evaluator import Split
from evaluate.images import input_images
from evaluate.images.image_files import read_image as read_image
from evaluate.images.image_store import APART, ImageStore, paths_of, write_image
from evaluate.images.prompts import Prompts
from evaluate.networks.weight_files import cache_folder
from search.run_folder.inputs import Inputs
from search.study.measurements import Measurements
from search.study.study import Study
from strategies import Strategy
from strategies.data_files import whole
from strategies.data_files.places import sibling_folder

FOLDER = "unaccelerated"  # Folder in the cache, in the package, and in a run.
WORDS = {"cache": "in the cache folder", "shipped": "that ship with the model"}
FIRST: Split = "search"  # Split whose first prompt is compared.
NEAR = 1.0  # Mean difference, in levels of 255, above that of another machine's rounding.
KEYS, IMAGES = "keys", "images"
LENGTH = 16  # Bytes of a key.


def keys(prompts: Prompts) -> list[str]:
    """Key of each prompt with its noise and its further inputs; no two are equal."""
    none = [""] * len(prompts.texts)
    labels: Sequence[Any] = prompts.labels or none
    marks = input_images.marks(prompts) or none
    rows = zip(prompts.texts, prompts.seeds, labels, marks, strict=True)
    texts = [f"{seed}\n{label}\n{mark}\n{text}" for text, seed, label, mark in rows]
    return [hashlib.sha256(text.encode()).hexdigest()[: 2 * LENGTH] for text in texts]


def origin(config: ModelConfig, weights: str, unaccelerated: Strategy) -> str:
    """Digest of everything that shipped images depend on."""
    decides = {
        "weights": weights,
        "strategy": unaccelerated.digest,
        # What a later version adds to a setting is left out where it is not used.
        "setting": config.model_dump(mode="json", exclude=APART, exclude_defaults=True),
    }
    return fingerprint.combined(decides)


def shipped(name: str) -> Path:
    """File of a bundled model."""
    return sibling_folder("zoo") / FOLDER / f"{name}.safetensors"


def pack_images(prompts: Sequence[Prompts], images: NDArray[np.uint8], origin: str) -> bytes:
    """Content of such a file."""
    names = [name for one in prompts for name in keys(one)]
    raw = np.frombuffer(b"".join(map(bytes.fromhex, names)), np.uint8)
    return array_files.pack_arrays({KEYS: raw.reshape(-1, LENGTH), IMAGES: images}, origin)


class SharedImages:
    """Images of one model in one setting.

    Args:
        config: settings of the model.
        inputs: inputs of the run.
        unaccelerated: the unaccelerated pipeline as a strategy.
        device: device of the workers, such as `cpu`.
        run: folder of the run.
    """

    def __init__(
        self, config: ModelConfig, inputs: Inputs, unaccelerated: Strategy, device: str, run: Path
    ) -> None:
        self._prompts = inputs.prompts
        self._place = ImageStore(run / FOLDER, inputs.weights).folder_of(
            config, unaccelerated, device
        )
        self._cache = cache_folder() / FOLDER / self._place.name
        found = (
            array_files.unpack(shipped(config.name), origin(config, inputs.weights, unaccelerated))
            or {}
        )
        self._images = found.get(IMAGES)
        self._rows = {bytes(row).hex(): i for i, row in enumerate(found.get(KEYS, ()))}
        self._sources = dict.fromkeys(WORDS, True)

    def _chosen(self, split: str, count: int) -> Prompts:
        return self._prompts[split].first(count)  # type: ignore[index]

    def _find(self, name: str) -> str:
        """Source that has the image of a key, or an empty text."""
        if self._sources["cache"] and (self._cache / f"{name}.png").is_file():
            return "cache"
        return "shipped" if self._sources["shipped"] and name in self._rows else ""

    def count(self, split: str, start: int, count: int) -> int:
        """Number of images from prompt `start` to `count` that are there already."""
        names = keys(self._chosen(split, count))[start:]
        return sum(bool(self._find(name)) for name in names)

    def look(
        self,
        study: Study,
        first: Callable[[Split], object],
        tell: Callable[[str], None],
        split: str,
        start: int,
        count: int,
    ) -> None:
        """Check once for each source whether this machine generates the same images as it has.

        Nothing is checked if no source has any of the images.

        Args:
            study: log of the run, which keeps the answer.
            first: function that generates the first image of a split if it is not there.
            tell: callback with lines for people.
            split: name of the prompts.
            start: number of the first prompt.
            count: number of the last prompt.
        """
        names = keys(self._chosen(split, count))[start:]
        for source in {found for found in map(self._find, names) if found}:
            measured = Measurements(study)
            shares = measured.shares_images(source)
            if shares is None:
                shares = self._is_alike(first, source)
                measured.keep_shares_images(source, shares)
                if not shares:
                    tell(
                        "this machine generates another first image than the unaccelerated ones "
                        f"{WORDS[source]}; all are generated again"
                    )
            self._sources[source] = shares

    def _is_alike(self, first: Callable[[Split], object], source: str) -> bool:
        chosen = self._chosen(FIRST, 1)
        known = self._read(keys(chosen)[0], source)
        first(FIRST)
        (mine,) = paths_of(self._place, chosen)
        if known is None or not mine.is_file():  # Workers elsewhere keep theirs for themselves.
            return False
        drawn = read_image(mine)
        return drawn.shape == known.shape and bool(
            np.abs(drawn.astype(float) - known).mean() <= NEAR
        )

    def _read(self, name: str, source: str) -> NDArray[np.uint8] | None:
        if source == "shipped":
            row = self._rows.get(name)
            return None if row is None or self._images is None else self._images[row]
        with suppress(OSError, SyntaxError, ValueError):
            return read_image(self._cache / f"{name}.png")
        return None

    def put(self, split: str, start: int, count: int) -> list[int]:
        """Copy known images to where workers look; returns the numbers of their prompts."""
        chosen, found = self._chosen(split, count), list[int]()
        whole.make_folder(self._place)
        rows = list(zip(keys(chosen), paths_of(self._place, chosen), strict=True))
        for index, (name, path) in list(enumerate(rows))[start:]:
            source = self._find(name)
            if path.exists():
                continue
            image = self._read(name, source) if source else None
            if image is not None:
                write_image(path, image)
                found.append(index)
        return found

    def keep(self, split: str, start: int, count: int) -> None:
        """Keep the generated images for other runs."""
        chosen = self._chosen(split, count)
        with suppress(OSError, whole.UnwritableError):  # Only the next run would gain from it.
            whole.make_folder(self._cache)
            rows = list(zip(keys(chosen), paths_of(self._place, chosen), strict=True))
            for name, mine in rows[start:]:
                theirs = self._cache / f"{name}.png"
                if mine.is_file() and (not theirs.exists() or not self._sources["cache"]):
                    part = whole.temporary_path(theirs)
                    try:
                        os.link(mine, part)
                    except OSError:
                        shutil.copyfile(mine, part)
                    part.replace(theirs)
