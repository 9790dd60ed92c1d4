"""A stand-in for the npm package of the portraits: the same files, each part a few cells."""

from __future__ import annotations

import tarfile
from pathlib import Path

from zoo.portraits import package, words

# Where each kind of part is: x, y, width, height.
PLACES = {
    "accessories": (2, 7, 1, 1),
    "beard": (5, 11, 5, 1),
    "clothing": (4, 13, 8, 3),
    "eyes": (5, 6, 2, 1),
    "glasses": (4, 5, 8, 2),
    "hair": (4, 2, 8, 1),
    "hat": (3, 0, 10, 2),
    "mouth": (6, 9, 4, 1),
}
COLOURS = {"beard": "hair", "eyes": "eyes"}


def colour(kind: str) -> str:
    """A chosen colour as the package writes it."""
    return "${escape.xml(`${colors." + COLOURS.get(kind, kind) + "}`)}"


def variant(kind: str) -> str:
    """A rectangle in the chosen colour, with a cell of it lighter."""
    x, y, width, height = PLACES[kind]
    return (
        f'<path d="M{x} {y}h{width}v{height}H{x}Z" fill="{colour(kind)}"/>'
        f'<path fill="#fff" fill-opacity=".3" d="M{x} {y}h1v1h-1z"/>'
    )


def write(folder: Path) -> Path:
    """The package's folder, with every variant that `zoo.portraits.words` names."""
    names: dict[str, set[str]] = {kind: set() for kind in package.KINDS}
    for kind, variants in words.VARIANTS.values():
        names[kind] |= {name for row in variants.values() for name in row}
    names["eyes"] = set(words.EYES)
    target = folder / "package" / "lib" / "components"
    target.mkdir(parents=True)
    for kind, found in names.items():
        lines = [
            f"    {name}: (components, colors) => `{variant(kind)}`,\n" for name in sorted(found)
        ]
        text = f"export const {kind} = {{\n" + "".join(lines) + "};\n"
        (target / f"{kind}.js").write_text(text, encoding="utf-8")
    return folder / "package"


def archive(folder: Path) -> Path:
    """The same as `npm pack` writes it."""
    path = folder / package.ARCHIVE
    with tarfile.open(path, "w:gz") as file:
        file.add(write(folder), "package")
    return path
