"""Fingerprints by content of everything that scores depend on: files, parts of a model, packages.

Sizes and times are compared first. A file is read only if they differ from those at the last
reading. Its digest is then kept in the cache folder, so that a model that has not changed costs no
reading.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

import zoo
from evaluate.networks.weight_files import cache_folder
from strategies import StrategyError
from strategies.data_files.whole import write

# Other versions of these may generate other images or give other scores.
PACKAGES = (
    *("torch", "torchvision", "diffusers", "transformers"),
    *("numpy", "scipy", "pillow", "clean-fid"),
)
# Version of this package since which one strategy has had the same images and scores. A run of any
# version since then can be resumed; a release that changes them sets this to itself.
SAME_SINCE = "0.1.0"
INDEX = "model_index.json"
READ = {".json", ".txt", ".model", ".safetensors"}  # Files of a part that pipelines read.
FORM = 1  # Version of the kept digests' form.
# A file that was written so shortly before may be written again with the same times.
MOMENT = 2e9  # Nanoseconds.
THREADS = 4
State = list[int]


def combined(parts: Any) -> str:
    """One digest of plain JSON data."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def package_versions() -> dict[str, str]:
    """The installed version of each package that generates or scores; for this one `SAME_SINCE`."""
    return {"diffusion-stratagem": SAME_SINCE} | {name: _version(name) for name in PACKAGES}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def digests(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files below a folder, by their paths in it.

    Raises:
        StrategyError: one cannot be read; names it.
    """
    note = cache_folder() / "digests" / f"{combined(str(root.absolute()))[:24]}.json"
    kept, found, fresh = _kept(note), dict[str, str](), dict[str, tuple[Path, State]]()
    for path in paths:
        name = path.relative_to(root).as_posix()
        with _reading(path):
            state = _state(path)
        if name in kept and kept[name][0] == state:
            found[name] = kept[name][1]
        else:
            fresh[name] = path, state
    if fresh:
        with ThreadPoolExecutor(THREADS) as pool:
            values = list(pool.map(_digest, (path for path, _ in fresh.values())))
        now = time.time_ns()
        for (name, (_, state)), value in zip(fresh.items(), values, strict=True):
            found[name] = value
            kept[name] = state, value
            if now - max(state[1:3]) < MOMENT:
                del kept[name]
        _keep(note, kept)
    return dict(sorted(found.items()))


def digest(path: Path) -> str:
    """SHA-256 of one file, see `digests`."""
    return digests(path.parent, [path])[path.name]


def weight_digests(source: str) -> dict[str, str]:
    """Digest of each part of a model: its networks, tokenizers, solver, and `pipeline`.

    Args:
        source: `zoo:NAME`, a folder in diffusers format, or a hub id that is in the hub's cache.

    Raises:
        StrategyError: the model is not on this machine, or a file of it cannot be read.
    """
    root = _folder(source)
    files = sorted(path for path in root.glob("*/*") if _is_read(path))
    named = _parts(root / INDEX)
    chosen = [path for path in files if named is None or path.parent.name in named]
    found = digests(root, [root / INDEX, *chosen])
    parts: dict[str, dict[str, str]] = {"pipeline": {INDEX: found.pop(INDEX)}}
    for name, value in found.items():
        part, _, file = name.partition("/")
        parts.setdefault(part, {})[file] = value
    return {part: combined(values) for part, values in parts.items()}


def _folder(source: str) -> Path:
    if source.startswith("zoo:"):
        return zoo.folder(source.removeprefix("zoo:"))
    if Path(source).is_dir():
        return Path(source)
    index = try_to_load_from_cache(source, INDEX)
    if not isinstance(index, str):
        raise StrategyError(f"{source}: the model is neither a folder nor in the hub's cache")
    return Path(index).parent


def _parts(index: Path) -> set[str] | None:
    """Parts that a pipeline has; None if its index does not say."""
    try:
        rows = json.loads(index.read_text(encoding="utf-8")).items()
    except (OSError, ValueError, AttributeError):
        return None
    return {name for name, row in rows if isinstance(row, list) and row[-1] is not None}


def _is_read(path: Path) -> bool:
    """Whether a pipeline reads a file of a part; variants such as fp16 are not asked for."""
    if path.name.startswith(".") or path.suffix not in READ or not path.is_file():
        return False
    if path.suffix == ".safetensors":
        return "." not in path.stem
    return ".index." not in path.name or path.name.endswith(".safetensors.index.json")


def _state(path: Path) -> State:
    """State of a file that changes if it is written, replaced or copied over."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _digest(path: Path) -> str:
    with _reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors of the file system inside the block into a StrategyError about the file."""
    try:
        yield
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror})") from None


def _kept(note: Path) -> dict[str, tuple[State, str]]:
    try:
        data = json.loads(note.read_text(encoding="utf-8"))
        if data["form"] != FORM:
            return {}
        return {str(name): (list(row[:-1]), str(row[-1])) for name, row in data["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}  # None yet, or not ours: everything is read.


def _keep(note: Path, kept: Mapping[str, tuple[State, str]]) -> None:
    files = {name: [*state, value] for name, (state, value) in kept.items()}
    with suppress(OSError, StrategyError):  # Without it the next look only takes longer.
        note.parent.mkdir(parents=True, exist_ok=True)
        write(json.dumps({"form": FORM, "files": files}), note)
