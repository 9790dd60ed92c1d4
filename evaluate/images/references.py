"""References: a folder of images, a file of statistics, or the model itself.

Features of a folder are cached under a name made of the folder's content and the network. A second
run reads them, and a changed image is never scored by old features.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import zoo
from evaluate import array_files, fingerprint
from evaluate.image_set import ImageSet
from evaluate.images import image_files
from evaluate.networks import SOURCES, Networks
from evaluate.networks.weight_files import cache_folder, find_weight_file
from evaluate.statistics.gaussian import GaussianStatistics
from strategies import StrategyError
from strategies.data_files import whole
from strategies.words import one_line

# The same suffixes as clean-fid.
SUFFIXES = {".bmp", ".jpg", ".jpeg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def read_reference(source: str, networks: Networks, per_folder: int | None = None) -> ImageSet:
    """A reference of real images.

    Args:
        source: folder of images, searched at every depth, or a `.npz` file with `mu` and `sigma` of
            Inception features, as clean-fid and pytorch-fid write it.
        networks: networks of the features.
        per_folder: number of files to take of each folder, the first by name; None takes all.

    Raises:
        StrategyError: it is neither; says what is expected.
    """
    path = Path(source)
    if path.is_dir():
        return _folder(path, networks, per_folder)
    return _elsewhere(path, source)


class _Folder(ImageSet):
    """A folder whose features are kept in the cache."""

    def features(self, network: str) -> NDArray[np.float32]:
        if network in self.known:
            return self.known[network]
        subject = self.networks.subject if self.networks else None
        origin = fingerprint.combined(
            [self.name, of_network(network, subject), fingerprint.package_versions()]
        )
        path = cache_folder() / "features" / f"{network}-{origin[:24]}.safetensors"
        found = (array_files.unpack(path, origin) or {}).get("features")
        if found is None or found.ndim != 2 or len(found) != self.count:
            found = super().features(network)
            with suppress(whole.UnwritableError):  # Only the next run would gain from it.
                whole.make_folder(path.parent)
                whole.write(array_files.pack_arrays({"features": found}, origin), path)
        self.known[network] = found
        return found


def check_reference(source: str, per_folder: int | None = None) -> None:
    """Check that a reference exists and that its files begin as images, without reading them all.

    Raises:
        StrategyError: see `read_reference`.
    """
    path = Path(source)
    if not path.is_dir():
        _elsewhere(path, source)
        return
    for image in _files(path, per_folder):
        image_files.check_image_file(image)


def _elsewhere(path: Path, source: str) -> ImageSet:
    if path.suffix == ".npz" and path.is_file():
        return _file(path)
    raise StrategyError(
        f"reference {source!r} is no folder of images and no .npz file of statistics; give one of "
        "these, or self for the unaccelerated model's own images at other seeds"
    )


def _files(folder: Path, per_folder: int | None) -> list[Path]:
    """Image files of a folder and of its sub-folders, following links.

    Hidden files and folders, and those that archives of macOS add, are skipped.
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


def of_network(name: str, subject: str | None = None) -> list[str]:
    """Everything that features of a network depend on: its identity, and files without a published
    sum.

    Args:
        name: name of the network.
        subject: subject of the bundled networks, a value of `zoo.SUBJECTS`.
    """
    source = SOURCES[name]
    files = [find_weight_file(weights) for weights in source.weights if not weights.sha256]
    if not source.weights:
        files = sorted(zoo.networks_folder(subject or "shapes").glob("*.safetensors"))
    return [source.cache_key, *map(fingerprint.digest, files)]


def reference_fingerprint(
    source: str | None, per_folder: int | None = None, subject: str | None = None
) -> str:
    """Fingerprint of a reference of real images, by content.

    Args:
        source: see `read_reference`; None is the bundled models' own.
        per_folder: see `read_reference`.
        subject: subject of the bundled model, a value of `zoo.SUBJECTS`.

    Raises:
        StrategyError: it cannot be read.
    """
    if source is None:
        folder = zoo.networks_folder(subject or "shapes")
        return fingerprint.digest(folder / "reference.safetensors")
    path = Path(source)
    if not path.is_dir():
        return fingerprint.digest(path)
    return _content(path, _files(path, per_folder))


def _content(folder: Path, paths: list[Path]) -> str:
    """One digest of images, in the order they are read."""
    found = fingerprint.digests(folder, paths)
    return fingerprint.combined([found[path.relative_to(folder).as_posix()] for path in paths])


def _folder(folder: Path, networks: Networks, per_folder: int | None) -> ImageSet:
    paths = _files(folder, per_folder)
    wide = sum(image_files.check_image_file(path) == image_files.WIDE for path in paths)
    # Those of 16 bits were once read otherwise: their features have a name of their own.
    beside = f", {wide} of 16 bits" if wide else ""
    name = f"{folder} ({len(paths)} images{beside}, {_content(folder, paths)[:16]})"
    return _Folder(name, len(paths), lambda i: image_files.read_image(paths[i]), networks=networks)


def _file(path: Path) -> ImageSet:
    try:
        with np.load(path, allow_pickle=False) as data:
            mean, covariance = data["mu"], data["sigma"]
        known = {"inception": GaussianStatistics.of_covariance(mean, covariance)}
    except Exception as error:  # A torn archive may raise anything.
        raise StrategyError(
            f"reference {path}: needs the arrays mu and sigma ({type(error).__name__}: "
            f"{one_line(error)})"
        ) from None
    return ImageSet(str(path), 0, gaussians=known)
