"""Subjects of the bundled models: shapes or portraits, with their labels, captions and networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoo import data, networks
from zoo.portraits import captions, package, words
from zoo.portraits import data as portraits
from zoo.portraits import networks as portrait_networks


class Sample(Protocol):
    """Function that draws scenes by seed; without mistakes, captions are true."""

    def __call__(self, count: int, seed: int, mistakes: float = 0.0) -> data.Scenes:
        """Draw `count` scenes from the stream of `seed`."""


@dataclass(frozen=True)
class Subject:
    """Data of a subject, as training and scoring use it.

    Attributes:
        name: name of the subject, and of the folders of its networks and prompt lists; those of
            shapes are one folder higher.
        size: side of the images in pixels.
        labels: columns of the labels, with the number of values of each.
        groups: columns of which a card gives one score, by name.
        scores: columns of which a metric gives one score, by name.
        parse: function from a caption to its label row.
        features: function that makes an untrained feature network.
        judge: function that makes an untrained judge.
        captions: function that gives true captions of a seed.
        prompts: the same for the prompt lists, which name only what the models have learnt.
        open: function that gives the drawing function, from a folder for downloads and the path of
            a package, if any.
        mistakes: share of wrong words in the captions of training.
        small: groups that cover few pixels, which a card names separately.
    """

    name: str
    size: int
    labels: dict[str, int]
    groups: dict[str, tuple[str, ...]]
    scores: dict[str, tuple[str, ...]]
    parse: Callable[[str], data.LabelArray]
    features: Callable[[], networks.FeatureNet]
    judge: Callable[[], networks.JudgeNet]
    captions: Callable[[int, int], list[str]]
    prompts: Callable[[int, int], list[str]]
    open: Callable[[Path, Path | None], Sample]
    mistakes: float = 0.0
    small: tuple[str, ...] = ()


def _open_shapes(folder: Path, source: Path | None) -> Sample:
    def sample(count: int, seed: int, mistakes: float = 0.0) -> data.Scenes:
        return data.sample(count, seed, SHAPES.size)

    return sample


def _open_portraits(folder: Path, source: Path | None) -> Sample:
    return portraits.Portraits(package.read(source or package.fetch(folder))).sample


def _shapes(count: int, seed: int) -> list[str]:
    return data.sample(count, seed, 8).captions


SHAPES = Subject(
    "shapes",
    32,
    data.LABELS,
    data.GROUPS,
    data.GROUPS,
    data.parse,
    networks.FeatureNet,
    networks.JudgeNet,
    _shapes,
    _shapes,
    _open_shapes,
)
PORTRAITS = Subject(
    "portraits",
    64,
    portraits.LABELS,
    {name: (name,) for name in portraits.LABELS},
    words.SCORES,
    captions.parse,
    portrait_networks.features,
    portrait_networks.judge,
    portraits.sample_captions,
    portraits.sample_prompts,
    _open_portraits,
    captions.MISTAKES,
    words.SMALL,
)
_ALL = {one.name: one for one in (SHAPES, PORTRAITS)}


def subject_of_networks(folder: Path) -> Subject:
    """Subject whose networks are in a folder, see `zoo.networks_folder`."""
    return _ALL.get(folder.name, SHAPES)
