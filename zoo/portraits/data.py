"""Portraits drawn by seed, for training, the reference statistics and the card."""

from __future__ import annotations

import numpy as np

from zoo.data import Scenes
from zoo.portraits import captions, package, words
from zoo.portraits.captions import NAMES, Labels
from zoo.portraits.drawing import Painter
from zoo.portraits.words import VALUES

LABELS = {name: len(values) for name, values in VALUES.items()}


class Portraits:
    """Captioned portraits, a function of the seed."""

    labels = LABELS

    def __init__(self, parts: package.Parts) -> None:
        self._painter = Painter(parts)

    def sample(self, count: int, seed: int, mistakes: float = 0.0) -> Scenes:
        """Draw `count` portraits from the stream of `seed`.

        Args:
            count: number of portraits.
            seed: random seed; the same seed gives the same portraits.
            mistakes: share of words in the captions that name something else.
        """
        rng = np.random.default_rng(seed)
        labels = sample_labels(count, rng)
        texts = [captions.sample(row, rng, mistakes)[0] for row in labels]
        return Scenes(labels, texts, self._painter.draw(labels, rng))


def sample_captions(count: int, seed: int, left_out: tuple[str, ...] = ()) -> list[str]:
    """Captions without mistakes; this needs no package.

    Args:
        count: number of captions.
        seed: random seed.
        left_out: attributes that no caption names.
    """
    rng = np.random.default_rng(seed)
    labels = sample_labels(count, rng)
    labels[:, [NAMES.index(name) for name in left_out]] = -1
    return [captions.sample(row, rng, 0.0)[0] for row in labels]


def sample_prompts(count: int, seed: int) -> list[str]:
    """Captions of the attributes that tiny-portraits has learnt."""
    return sample_captions(count, seed, words.NOT_LEARNT)


def sample_labels(count: int, rng: np.random.Generator) -> Labels:
    """Labels of `count` portraits: int64 `[count, 16]`, -1 for attributes that cannot be seen."""
    rows = {name: rng.integers(0, len(values), count) for name, values in VALUES.items()}
    for name, share in words.SHARES.items():
        there = rng.random(count) < share
        rows[name] = np.where(there, rng.integers(1, len(VALUES[name]), count), 0)
    hair = rows["hair"]
    long = np.isin(hair, [VALUES["hair"].index(value) for value in words.LONG])
    hat = rows["hat"] > 0
    rows["earrings"] = np.where(long, 0, rows["earrings"])
    # A hat hides all but long hair.
    rows["hair"] = np.where(hat & ~long, -1, hair)
    hairless = rows["hair"] <= VALUES["hair"].index("bald")
    rows["hair_colour"] = np.where(hairless, -1, rows["hair_colour"])
    rows["glasses_colour"] = np.where(rows["glasses"] == 0, -1, rows["glasses_colour"])
    rows["hat_colour"] = np.where(hat, rows["hat_colour"], -1)
    dark = rows["glasses"] == VALUES["glasses"].index("sunglasses")
    rows["eyes"] = np.where(dark, -1, rows["eyes"])
    return np.stack([rows[name] for name in NAMES], axis=1).astype(np.int64)
