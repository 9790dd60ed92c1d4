"""Parts of the pixel-art portraits, read from the npm package that draws them.

`@dicebear/pixel-art` holds each part as a few rectangles on a grid of 16 x 16 cells, written as SVG
in its JavaScript source. Its designs are in the public domain (CC0 1.0). This module downloads
nothing by itself and runs no JavaScript: it reads the package's archive or folder. Training and the
tests of the data use it; the bundled weights do not need it.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from strategies import StrategyError

NAME, VERSION = "@dicebear/pixel-art", "9.4.3"
ARCHIVE = f"dicebear-pixel-art-{VERSION}.tgz"
LICENCE = "designs by DiceBear, CC0 1.0"
KINDS = ("accessories", "beard", "clothing", "eyes", "glasses", "hair", "hat", "mouth")
GRID = 16

_ENTRY = re.compile(r"^\s*(\w+): \(components, colors\) => `(.*)`,$", re.MULTILINE)
_COLOUR = re.compile(r"\$\{escape\.xml\(`\$\{colors\.(\w+)\}`\)\}")
_STEP = re.compile(r"([MmHhVvLlZz])|(-?(?:\d+\.?\d*|\.\d+))")

_UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    tarfile.TarError,
    zlib.error,
    ElementTree.ParseError,
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ColourLayer:
    """Cells of one colour.

    Attributes:
        cells: bool `[16, 16]`, rows from the top.
        colour: kind of part whose colour is chosen (`hair`), or `#rrggbb`.
        opacity: opacity in [0, 1].
    """

    cells: Mask
    colour: str
    opacity: float


Parts = dict[str, dict[str, tuple[ColourLayer, ...]]]


def fetch(folder: Path) -> Path:
    """The package's archive in `folder`, downloaded there with npm if it is not there yet.

    Raises:
        StrategyError: npm is missing or failed.
    """
    archive = folder / ARCHIVE
    if not archive.exists():
        wanted = f"{NAME}@{VERSION}"
        command = ["npm", "pack", wanted, "--silent", "--pack-destination", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            why = (done.stderr.strip().splitlines() or ["npm failed"])[-1]
        except OSError:
            why = "npm is not installed"
        if not archive.exists():
            raise StrategyError(
                f"training needs the npm package {wanted} ({LICENCE}): {why}; "
                f"run `npm pack {wanted}` where there is npm and pass --package {ARCHIVE}"
            )
    return archive


def read(source: Path) -> Parts:
    """All parts by kind and variant.

    Args:
        source: the archive that `npm pack` writes, or the folder that it unpacks to.

    Raises:
        StrategyError: there is no such package.
    """
    try:
        return {kind: _variants(_text(source, f"lib/components/{kind}.js")) for kind in KINDS}
    except _UNREADABLE as error:
        raise StrategyError(
            f"{source} is not the npm package {NAME} {VERSION} ({error}); "
            f"`npm pack {NAME}@{VERSION}` writes {ARCHIVE}"
        ) from error


def face() -> tuple[ColourLayer, ...]:
    """Head and body, which the package draws in the skin's colour under everything else."""
    body = "M4 2h8v1h1v3h1v2h-1v3h-1v1H9v1h4v1h1v2H2v-2h1v-1h4v-1H4v-1H3V8H2V6h1V3h1V2Z"
    head = "M4 2h8v1h1v3h1v2h-1v3h-1v1H4v-1H3V8H2V6h1V3h1V2Z"
    return ColourLayer(_fill(body, False), "skin", 1.0), ColourLayer(
        _fill(head, False), "#ffffff", 0.1
    )


def _text(source: Path, name: str) -> str:
    if source.is_dir():
        return (source / name).read_text(encoding="utf-8")
    with tarfile.open(source) as archive:
        file = archive.extractfile(f"package/{name}")
        if file is None:
            raise KeyError(name)
        return file.read().decode("utf-8")


def _variants(source: str) -> dict[str, tuple[ColourLayer, ...]]:
    found = {name: _layers(body) for name, body in _ENTRY.findall(source)}
    if not found:
        raise ValueError("no parts")
    return found


def _layers(svg: str) -> tuple[ColourLayer, ...]:
    root = ElementTree.fromstring("<svg>" + _COLOUR.sub(r"\1", svg) + "</svg>")
    if root.find("mask") is not None:
        # A beard is its mask's cells, filled with the hair's colour and then with white.
        mask = next(root.iter("mask"))
        cells = np.any([_cells(path, {}) for path in mask.iter("path")], axis=0)
        thick = float(next(mask.iter("path")).get("opacity", 1))
        fills = [path for group in root.findall("g") for path in group.iter("path")]
        return tuple(_layer(path, {}, cells, thick) for path in fills)
    layers = []
    for item in root:
        inherited = dict(item.attrib) if item.tag == "g" else {}
        paths = item.iter("path")
        layers += [_layer(path, inherited, _cells(path, inherited), 1.0) for path in paths]
    return tuple(layers)


def _layer(
    path: ElementTree.Element, inherited: dict[str, str], cells: Mask, opacity: float
) -> ColourLayer:
    values = inherited | path.attrib
    colour = values["fill"]
    if re.fullmatch("#[0-9a-f]{3}", colour):
        colour = "#" + "".join(2 * digit for digit in colour[1:])
    return ColourLayer(cells, colour, opacity * float(values.get("fill-opacity", 1)))


def _cells(path: ElementTree.Element, inherited: dict[str, str]) -> Mask:
    values = inherited | path.attrib
    return _fill(values["d"], values.get("fill-rule") == "evenodd")


def _fill(outline: str, evenodd: bool) -> Mask:
    """Cells whose centre a path of horizontal and vertical lines encloses."""
    middle = np.arange(GRID) + 0.5
    winding = np.zeros((GRID, GRID), int)
    for corners in _corners(outline):
        for (x, y), (u, v) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if x != u and y != v:
                raise ValueError(f"a line of {outline} is slanted")
            rows = (middle > min(y, v)) & (middle < max(y, v))
            winding += np.sign(v - y).astype(int) * np.outer(rows, middle > x)
    inside: Mask = winding % 2 != 0 if evenodd else winding != 0
    return inside


def _corners(outline: str) -> list[list[tuple[float, float]]]:
    rings: list[list[tuple[float, float]]] = []
    steps = _STEP.findall(outline)
    x = y = 0.0
    letter, index = "", 0
    while index < len(steps):
        if steps[index][0]:
            letter = steps[index][0]
            index += 1
        if letter in "Zz":
            x, y = rings[-1][0]
            continue
        here = (x, y) if letter.islower() else (0.0, 0.0)
        if letter in "Hh":
            x = here[0] + float(steps[index][1])
        elif letter in "Vv":
            y = here[1] + float(steps[index][1])
        else:
            x, y = (start + float(steps[index + i][1]) for i, start in enumerate(here))
            index += 1
        index += 1
        if letter in "Mm":
            rings.append([])
            letter = "L" if letter == "M" else "l"
        rings[-1].append((x, y))
    return rings
