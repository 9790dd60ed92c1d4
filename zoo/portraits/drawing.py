"""Drawing of portraits: parts of the package in chosen colours on a patterned background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.portraits import package, words
from zoo.portraits.captions import NAMES, Labels
from zoo.portraits.package import GRID, ColourLayer

CELL = 4
IMAGE_SIZE = GRID * CELL
Images = NDArray[np.float32]
# The package's lenses of dark and light glasses, and the patterns of its clothes, hardly differ.
_STRONGER = {"#000000": 2.8, "#ffffff": 2.0}


class Painter:
    """Painter of label rows; everything they leave open (variant, shade, pattern's phase) is
    random.
    """

    def __init__(self, parts: package.Parts) -> None:
        self._tables = {
            name: _Table(parts[kind], [v for vs in variants.values() for v in vs])
            for name, (kind, variants) in words.VARIANTS.items()
        }
        self._eyes = _Table(parts["eyes"], list(words.EYES))
        self._face = _Table({"face": package.face()}, ["face"])

    def draw(self, labels: Labels, rng: np.random.Generator) -> Images:
        """float32 RGB in [0, 1], `[n, 64, 64, 3]`, of labels `[n, 16]`."""
        n = len(labels)
        colours = {name: self._colour(name, labels, rng) for name in words.COLOURS}
        mouth = _rgb(words.MOUTH_COLOURS)[rng.integers(0, len(words.MOUTH_COLOURS), n)]
        layers = [(self._face, np.zeros(n, int), colours["skin"])]
        for name, colour in (
            ("earrings", colours["earrings"]),
            ("clothing", colours["clothing_colour"]),
            ("eyes", colours["eyes"]),
            ("glasses", colours["glasses_colour"]),
            ("beard", colours["hair_colour"]),
            ("mouth", mouth),
            ("hair", colours["hair_colour"]),
            ("hat", colours["hat_colour"]),
        ):
            if name == "eyes":
                layers.append((self._eyes, rng.integers(0, len(words.EYES), n), colour))
            else:
                layers.append((self._tables[name], _variant(name, labels, rng), colour))
        figure, cover = np.zeros((n, GRID, GRID, 3)), np.zeros((n, GRID, GRID, 1))
        for table, variant, colour in layers:
            figure, cover = table.over(figure, cover, variant, colour)
        turned = rng.random(n) < 0.5
        figure[turned], cover[turned] = figure[turned, :, ::-1], cover[turned, :, ::-1]
        figure, cover = _moved(figure, cover, labels, rng)
        image = figure + (1 - cover) * _background(labels, colours["background"], rng)
        image *= rng.normal(1, 0.02, (n, 1, 1, 3))
        cells = np.clip(image, 0, 1).astype(np.float32)
        pixels: Images = cells.repeat(CELL, axis=1).repeat(CELL, axis=2)
        return pixels

    def _colour(self, name: str, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
        """A shade of the value, random if it is not decided: `[n, 3]`."""
        values = labels[:, NAMES.index(name)]
        shades = [words.COLOURS[name].get(v, ("#000000",)) for v in words.VALUES[name]]
        first = 1 if words.VALUES[name][0] == "no" else 0
        free = rng.integers(first, len(shades), len(values))
        table = [_rgb(row) for row in shades]
        which = rng.integers(0, 6, len(values))
        chosen = np.where(values >= 0, values, free)
        return np.stack([table[v][w % len(table[v])] for v, w in zip(chosen, which, strict=True)])


class _Table:
    """The layers of all variants of a kind, as arrays; the last variant is nothing."""

    def __init__(self, parts: dict[str, tuple[ColourLayer, ...]], names: list[str]) -> None:
        depth = max(len(parts[name]) for name in names)
        self.alpha = np.zeros((len(names) + 1, depth, GRID, GRID, 1))
        self.fixed = np.zeros((len(names) + 1, depth, 1, 1, 3))
        self.chosen = np.zeros((len(names) + 1, depth, 1, 1, 1))
        for row, name in enumerate(names):
            for column, layer in enumerate(parts[name]):
                self.alpha[row, column, ..., 0] = layer.cells * _opacity(name, layer)
                if layer.colour.startswith("#"):
                    self.fixed[row, column] = _rgb((layer.colour,))[0]
                else:
                    self.chosen[row, column] = 1

    def over(
        self, figure: NDArray[Any], cover: NDArray[Any], variant: NDArray[Any], colour: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """A figure, premultiplied by its cover, with this part upon it."""
        for depth in range(self.alpha.shape[1]):
            alpha, chosen = self.alpha[variant, depth], self.chosen[variant, depth]
            paint = chosen * colour[:, None, None] + (1 - chosen) * self.fixed[variant, depth]
            figure = figure * (1 - alpha) + alpha * paint
            cover = cover + alpha * (1 - cover)
        return figure, cover


def _opacity(name: str, layer: ColourLayer) -> float:
    """Opacity of a layer; dark lenses and the patterns of clothes and hats are drawn more
    strongly.
    """
    if layer.opacity == 1 or not name.startswith(("dark", "variant")):
        return layer.opacity
    return min(0.9, layer.opacity * _STRONGER.get(layer.colour, 1.0))


def _variant(name: str, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
    """Numbers of variants in the table of `name`; -1, its last row, if nothing is drawn."""
    _, variants = words.VARIANTS[name]
    values = labels[:, NAMES.index(name)]
    counts = np.array([len(variants[value]) for value in words.VALUES[name]])
    starts = np.cumsum(counts) - counts
    which = rng.integers(0, 60, len(values)) % np.maximum(counts[values], 1)
    return np.where((values >= 0) & (counts[values] > 0), starts[values] + which, -1)


def _moved(
    figure: NDArray[Any], cover: NDArray[Any], labels: Labels, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Figures moved sideways to their position, and at random a cell down."""
    sheet = np.concatenate([figure, cover], axis=-1)
    room = np.pad(sheet, ((0, 0), (1, 0), (3, 3), (0, 0)))
    across = np.zeros(len(labels), int)
    positions = labels[:, NAMES.index("position")]
    for index, value in enumerate(words.VALUES["position"]):
        moves = np.array(words.MOVES[value])
        chosen = moves[rng.integers(0, len(moves), len(labels))]
        across = np.where(positions == index, chosen, across)
    down = rng.integers(0, 2, len(labels))
    columns = np.arange(GRID) + 3 - across[:, None]
    rows = np.arange(GRID) + 1 - down[:, None]
    moved = room[np.arange(len(labels))[:, None, None], rows[:, :, None], columns[:, None]]
    return moved[..., :3], moved[..., 3:]


def _background(labels: Labels, colour: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Patterns of the colour and a darker or lighter one, at a random phase: `[n, 16, 16, 3]`."""
    n = len(labels)
    y, x = (a[None] for a in np.mgrid[:GRID, :GRID])
    width = rng.integers(1, 3, n)[:, None, None]
    right, down = (rng.integers(0, 4, n)[:, None, None] for _ in range(2))
    along, across = (x + right) // width % 2, (y + down) // width % 2
    dots = ((x + right) % (width + 1) == 0) & ((y + down) % (width + 1) == 0)
    flat = np.zeros((n, GRID, GRID), int)
    options = np.stack([flat, flat + across, flat + along, along ^ across, dots])
    marked = options[labels[:, NAMES.index("pattern")], np.arange(n)][..., None]
    other = np.where(rng.random((n, 1)) < 0.6, 0.72 * colour, 0.35 * colour + 0.65)
    bright = colour.mean(1, keepdims=True) > 0.9
    other = np.where(bright, 0.72 * colour, other)
    return np.where(marked, other[:, None, None], colour[:, None, None])


def _rgb(colours: tuple[str, ...]) -> NDArray[Any]:
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])
