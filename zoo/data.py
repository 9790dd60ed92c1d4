"""Procedural captioned images that the bundled models are trained and scored on.

A scene is one object at a named place, or two objects in a relation, on a plain or striped
background. The scene decides everything that a caption says. Everything else (exact place, radius,
hue, phase of the stripes) is random. Drawing uses signed distances, so an edge is anti-aliased at
any resolution. `zoo.train`, the reference statistics and the judge use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPES = ("circle", "square", "triangle", "ring", "cross")
COLOURS = {
    "red": (0.86, 0.12, 0.14),
    "green": (0.13, 0.62, 0.20),
    "blue": (0.16, 0.28, 0.88),
    "yellow": (0.95, 0.86, 0.16),
    "purple": (0.55, 0.18, 0.70),
    "orange": (0.97, 0.52, 0.08),
    "cyan": (0.20, 0.82, 0.88),
}
SIZES = {"small": 0.165, "large": 0.25}
TEXTURES = ("plain", "striped")
SHADES = {"dark": 0.16, "light": 0.84}

# Layouts 0-4 hold one object, 5 and 6 hold two. Words follow the (first) object; the places are
# object centres in [0, 1] x [0, 1], x to the right and y downwards.
LAYOUTS: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = (
    ("in the center", ((0.5, 0.5),)),
    ("on the left", ((0.27, 0.5),)),
    ("on the right", ((0.73, 0.5),)),
    ("at the top", ((0.5, 0.27),)),
    ("at the bottom", ((0.5, 0.73),)),
    ("left of", ((0.26, 0.5), (0.74, 0.5))),
    ("above", ((0.5, 0.26), (0.5, 0.74))),
)
SINGLE_LAYOUTS = 5

# The columns of a label array, with the number of classes of each. Columns of the second object
# hold -1 where there is none.
LABELS = {
    "layout": len(LAYOUTS),
    "shape1": len(SHAPES),
    "colour1": len(COLOURS),
    "size1": len(SIZES),
    "shape2": len(SHAPES),
    "colour2": len(COLOURS),
    "size2": len(SIZES),
    "texture": len(TEXTURES),
    "shade": len(SHADES),
}
# Columns that are judged together, by what they say.
GROUPS = {
    "shape": ("shape1", "shape2"),
    "colour": ("colour1", "colour2"),
    "size": ("size1", "size2"),
    "position": ("layout",),
    "background": ("texture", "shade"),
}

FloatArray = NDArray[np.floating[Any]]
LabelArray = NDArray[np.int64]


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes.

    Attributes:
        labels: int64, one row per scene; of shapes `[n, 9]`, columns as in `LABELS`.
        captions: `n` sentences.
        images: float32 RGB in [0, 1], `[n, size, size, 3]`.
    """

    labels: LabelArray
    captions: list[str]
    images: FloatArray


def sample(count: int, seed: int, size: int = 32) -> Scenes:
    """Draw `count` scenes from the stream of `seed`.

    Args:
        count: how many.
        seed: the same seed gives the same scenes.
        size: side of the square images in pixels.
    """
    rng = np.random.default_rng(seed)
    labels = sample_labels(count, rng)
    images = np.concatenate(
        [render(labels[i : i + 512], rng, size) for i in range(0, count, 512)]
        or [np.zeros((0, size, size, 3), np.float32)]
    )
    return Scenes(labels, [caption(row) for row in labels], images)


def sample_labels(count: int, rng: np.random.Generator) -> LabelArray:
    """Labels of `count` scenes: int64 `[count, 9]`; 60 % hold one object."""
    single = rng.random(count) < 0.6
    layout = np.where(
        single,
        rng.integers(0, SINGLE_LAYOUTS, count),
        rng.integers(SINGLE_LAYOUTS, len(LAYOUTS), count),
    )
    columns = [layout]
    columns += [rng.integers(0, classes, count) for classes in list(LABELS.values())[1:]]
    labels = np.stack(columns, axis=1).astype(np.int64)
    # Two objects of one colour would make "which is which" undecidable for a colour judge.
    clash = labels[:, 5] == labels[:, 2]
    labels[clash, 5] = (labels[clash, 5] + 1) % len(COLOURS)
    labels[single, 4:7] = -1
    return labels


def caption(row: LabelArray) -> str:
    """Sentence that says everything in a label row."""
    layout, shape1, colour1, size1, shape2, colour2, size2, texture, shade = (int(v) for v in row)
    words = f"{_noun(size1, colour1, shape1)} {LAYOUTS[layout][0]}"
    if layout >= SINGLE_LAYOUTS:
        words += f" {_noun(size2, colour2, shape2)}"
    return f"{words} on a {TEXTURES[texture]} {list(SHADES)[shade]} background"


def _noun(size: int, colour: int, shape: int) -> str:
    return f"a {list(SIZES)[size]} {list(COLOURS)[colour]} {SHAPES[shape]}"


def vocabulary() -> list[str]:
    """Every word that a caption can hold, in alphabetical order."""
    rows = [phrase for phrase, _ in LAYOUTS]
    rows += [*SHAPES, *COLOURS, *SIZES, *TEXTURES, *SHADES, "a on background"]
    return sorted({word for row in rows for word in row.split()})


def parse(text: str) -> LabelArray:
    """The label row of a caption made by `caption`.

    Raises:
        ValueError: `text` is not such a caption.
    """
    head, _, tail = text.rpartition(" on a ")
    words = tail.split()
    try:
        background = [TEXTURES.index(words[0]), list(SHADES).index(words[1])]
        for index, (phrase, places) in enumerate(LAYOUTS):
            first, found, second = head.partition(f" {phrase}")
            if not found:
                continue
            labels = [index, *_parse_noun(first)]
            labels += _parse_noun(second.strip()) if len(places) == 2 else [-1, -1, -1]
            return np.array(labels + background, np.int64)
    except (ValueError, IndexError):
        pass
    raise ValueError(f"not a caption of the bundled data: {text!r}; an example is {EXAMPLE!r}")


def _parse_noun(text: str) -> list[int]:
    _, size, colour, shape = text.split()
    return [SHAPES.index(shape), list(COLOURS).index(colour), list(SIZES).index(size)]


EXAMPLE = "a large red circle on the left on a plain dark background"


def render(labels: LabelArray, rng: np.random.Generator, size: int) -> FloatArray:
    """Draw scenes with jitter from `rng`: float32 RGB in [0, 1], `[n, size, size, 3]`."""
    n = len(labels)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x: FloatArray = np.broadcast_to(axis, (n, size, size))
    y: FloatArray = np.broadcast_to(axis[:, None], (n, size, size))
    image = _background(labels, rng, x, y)
    palette = np.array(list(COLOURS.values()), np.float32)
    radii = np.array(list(SIZES.values()), np.float32)
    for which in (0, 1):
        shape, colour, scale = labels[:, 1 + 3 * which : 4 + 3 * which].T
        present = shape >= 0
        places = np.array([spots[min(which, len(spots) - 1)] for _, spots in LAYOUTS], np.float32)
        centre = places[labels[:, 0]] + rng.uniform(-0.03, 0.03, (n, 2)).astype(np.float32)
        radius = radii[scale] * rng.uniform(0.94, 1.06, n).astype(np.float32)
        paint = palette[colour] + rng.normal(0, 0.025, (n, 3)).astype(np.float32)
        distance = _signed_distance(shape, x - centre[:, :1, None], y - centre[:, 1:, None], radius)
        cover = np.clip(0.5 - distance * size, 0, 1) * present[:, None, None]
        image += cover[..., None] * (paint[:, None, None, :] - image)
    clipped: FloatArray = np.clip(image, 0, 1, dtype=np.float32)
    return clipped


def _background(
    labels: LabelArray, rng: np.random.Generator, x: FloatArray, y: FloatArray
) -> FloatArray:
    n = len(labels)
    shade = np.array(list(SHADES.values()), np.float32)[labels[:, 8]]
    grey = shade + rng.normal(0, 0.02, n).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi, n).astype(np.float32)[:, None, None]
    stripes = 0.10 * np.tanh(3 * np.sin(2 * np.pi * 4 * (x + y) + phase))
    striped = (labels[:, 7] == 1)[:, None, None]
    plane = grey[:, None, None] + np.where(striped, stripes, 0)
    return np.repeat(plane[..., None], 3, axis=-1).astype(np.float32)


def _signed_distance(
    shape: LabelArray, x: FloatArray, y: FloatArray, radius: FloatArray
) -> FloatArray:
    """Distance to the outline of each image's shape, negative inside, in units of the image."""
    r = radius[:, None, None]
    centre = np.hypot(x, y)
    ax, ay = np.abs(x), np.abs(y)
    across, down = (
        np.maximum(ax - 0.95 * r, ay - 0.32 * r),
        np.maximum(ax - 0.32 * r, ay - 0.95 * r),
    )
    root3 = np.float32(np.sqrt(3.0))
    triangle = np.maximum((root3 * ax - y) / 2 - 0.55 * r, y - 0.75 * r)
    options = np.stack(
        [
            centre - 0.92 * r,
            np.maximum(ax, ay) - 0.86 * r,
            triangle,
            np.abs(centre - 0.72 * r) - 0.24 * r,
            np.minimum(across, down),
        ]
    )
    chosen: FloatArray = options[np.maximum(shape, 0), np.arange(len(shape))]
    return chosen
