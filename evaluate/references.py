"""What strategies are compared with: a folder of images, a file of statistics, or the model itself.

Features of a folder are kept in the cache under a name made of the folder's content and the
network, so that a second run reads them, and a changed image is never scored by old features.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from evaluate import images
from evaluate.networks import SOURCES, Networks
from evaluate.side import Side
from evaluate.statistics import Statistics
from evaluate.weights import cache_folder
from strategies import StrategyError, whole
from strategies.words import one_line

# As clean-fid reads a folder.
SUFFIXES = {".bmp", ".jpg", ".jpeg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def read(source: str, networks: Networks, per_folder: int | None = None) -> Side:
    """A reference of real images.

    Args:
        source: a folder of images, searched to every depth, or a `.npz` file with `mu` and `sigma`
            of Inception features, as clean-fid and pytorch-fid write it.
        networks: for the features.
        per_folder: of each folder only so many files, the first by name; None takes all.

    Raises:
        StrategyError: neither; says what was expected.
    """
    path = Path(source)
    if path.is_dir():
        return _folder(path, networks, per_folder)
    return _elsewhere(path, source)


class _Folder(Side):
    """A folder whose features are kept in the cache."""

    def features(self, network: str) -> NDArray[np.float32]:
        if network in self.known:
            return self.known[network]
        key = hashlib.sha256(f"{self.name}\n{SOURCES[network].identity}".encode()).hexdigest()
        path = cache_folder() / "features" / f"{network}-{key[:24]}.safetensors"
        try:
            found = load_file(path)["features"]
        except (OSError, SafetensorError, KeyError):  # Not computed yet, or torn by a kill.
            found = super().features(network)
            with suppress(whole.UnwritableError):  # Only the next run would gain from it.
                whole.make_folder(path.parent)
                whole.write(save({"features": found}), path)
        self.known[network] = found
        return found


def check(source: str, per_folder: int | None = None) -> None:
    """See that a reference is there and that its files begin as images, without reading them all.

    Raises:
        StrategyError: as `read`.
    """
    path = Path(source)
    if not path.is_dir():
        _elsewhere(path, source)
        return
    for image in _files(path, per_folder):
        images.check(image)


def _elsewhere(path: Path, source: str) -> Side:
    if path.suffix == ".npz" and path.is_file():
        return _file(path)
    raise StrategyError(
        f"reference {source!r} is no folder of images and no .npz file of statistics; give one of "
        "these, or self for the unaccelerated model's own images at other seeds"
    )


def _files(folder: Path, per_folder: int | None) -> list[Path]:
    """The image files of a folder and of those within, also where these are links.

    Hidden files and folders, and those that archives of macOS bring along, hold no images of the
    reference.
    """
    groups: dict[Path, list[Path]] = {}
    seen = set[str]()

    def refuse(error: OSError) -> None:
        raise StrategyError(f"reference {error.filename} cannot be read ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # A link that leads back up.
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not _hidden(name)]
        paths = [Path(place) / name for name in sorted(names) if not _hidden(name)]
        groups[Path(place)] = [p for p in paths if p.suffix.lower() in SUFFIXES]
    found = sorted(path for group in groups.values() for path in group[:per_folder])
    for path in found:
        if not path.is_file():
            raise StrategyError(
                f"reference {path} is no file that can be read (a link to nowhere?); remove it"
            )
    if len(found) < 2:
        raise StrategyError(
            f"reference {folder} holds {len(found)} images ({', '.join(sorted(SUFFIXES))}); at "
            "least 2 are needed"
        )
    return found


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folder(folder: Path, networks: Networks, per_folder: int | None) -> Side:
    paths = _files(folder, per_folder)
    content, wide = hashlib.sha256(), 0
    for path in paths:
        wide += images.check(path) == images.WIDE
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    # Those of 16 bits were once read otherwise: their features have a name of their own.
    beside = f", {wide} of 16 bits" if wide else ""
    name = f"{folder} ({len(paths)} images{beside}, {content.hexdigest()[:16]})"
    return _Folder(name, len(paths), lambda i: images.read(paths[i]), networks=networks)


def _file(path: Path) -> Side:
    try:
        with np.load(path, allow_pickle=False) as data:
            mean, covariance = data["mu"], data["sigma"]
        known = {"inception": Statistics.of_covariance(mean, covariance)}
    except Exception as error:  # A torn archive may raise anything.
        raise StrategyError(
            f"reference {path}: needs the arrays mu and sigma ({type(error).__name__}: "
            f"{one_line(error)})"
        ) from None
    return Side(str(path), 0, gaussians=known)
