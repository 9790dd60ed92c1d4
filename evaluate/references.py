"""What strategies are compared with: a folder of images, a file of statistics, or the model itself.

Features of a folder are kept in the cache under a name made of the folder's content and the
network, so that a second run reads them, and a changed image is never scored by old features.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from evaluate.networks import SOURCES, Networks
from evaluate.side import Side
from evaluate.statistics import Statistics
from evaluate.store import read_image
from evaluate.weights import cache_folder
from strategies import StrategyError

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
    if path.suffix == ".npz" and path.is_file():
        return _file(path)
    raise StrategyError(
        f"reference {source!r} is no folder of images and no .npz file of statistics; give one of "
        "these, or self for the unaccelerated model's own images at other seeds"
    )


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
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            save_file({"features": found}, part)
            part.replace(path)
        self.known[network] = found
        return found


def _folder(folder: Path, networks: Networks, per_folder: int | None) -> Side:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if per_folder is not None:
        groups: dict[Path, list[Path]] = defaultdict(list)
        for path in paths:
            groups[path.parent].append(path)
        paths = [path for group in groups.values() for path in group[:per_folder]]
    if len(paths) < 2:
        raise StrategyError(f"reference {folder} holds {len(paths)} images; at least 2 are needed")
    content = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    name = f"{folder} ({len(paths)} images, {content.hexdigest()[:16]})"
    return _Folder(name, len(paths), lambda i: read_image(paths[i]), networks=networks)


def _file(path: Path) -> Side:
    try:
        with np.load(path, allow_pickle=False) as data:
            mean, covariance = data["mu"], data["sigma"]
    except (OSError, ValueError, KeyError) as error:
        raise StrategyError(
            f"reference {path}: needs the arrays mu and sigma ({type(error).__name__}: {error})"
        ) from None
    known = {"inception": Statistics.of_covariance(mean, covariance)}
    return Side(str(path), 0, gaussians=known)
