"""Base of a single file: the folder with the settings, tokenizers and weights that it lacks."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from accel.models.config import available, read_model
from accel.models.files.layouts import Layout
from strategies import StrategyError

INDEX = "model_index.json"
PLAIN = ("*.json", "*.txt", "*.model")  # Settings and vocabularies: all of a base but weights.
WORDS = ({"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"spiece.model"})
OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder")


@dataclass(frozen=True)
class Base:
    """A base on this machine.

    Attributes:
        folder: its folder.
        index: content of its model_index.json.
        name: base as it was given.
    """

    folder: Path
    index: dict[str, Any]
    name: str

    @property
    def kind(self) -> str:
        """Class of the pipeline."""
        return str(self.index["_class_name"])

    @property
    def parts(self) -> dict[str, str]:
        """Class of each part that the pipeline has, by its name."""
        return {
            name: str(row[1])
            for name, row in self.index.items()
            if isinstance(row, list) and row[-1] is not None and name not in OPTIONAL
        }

    def config(self, part: str) -> dict[str, Any]:
        """Settings of a part."""
        found = _json(self.folder / part / "config.json")
        return found if isinstance(found, dict) else {}

    def has_weights(self, part: str) -> bool:
        """Whether it has safetensors of a part."""
        return any((self.folder / part).glob("*.safetensors"))


def find_base(layout: Layout, given: str, download: bool, replaced: Collection[str] = ()) -> Base:
    """The base of a file.

    Args:
        layout: content of the file.
        given: folder, hub id or name of a config; empty takes the published model of the
            architecture.
        download: whether it may be fetched from the hub.
        replaced: parts that come from elsewhere, so that neither needs weights of them.

    Raises:
        StrategyError: it is not on this machine, is of another architecture, or lacks files.
    """
    file, architecture = layout.file.path, layout.architecture
    if not given and architecture is None:
        raise StrategyError(
            f"{file}: its architecture is not told by its names; give --base, a folder in "
            "diffusers format with the settings of its model"
        )
    name = given or str(architecture and architecture.base)
    have = layout.parts | set(replaced)
    folder = _folder(layout, name, download, have)
    index = _json(folder / INDEX)
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise StrategyError(
            f"--base {name}: {folder / INDEX} is missing or names no pipeline; give a folder in "
            "diffusers format"
        )
    found = Base(folder, index, name)
    if architecture is not None and found.kind not in architecture.pipelines:
        raise StrategyError(
            f"{file} is {architecture.name}, and --base {name} is a {found.kind}; give a base of "
            f"{architecture.name}, such as {architecture.base}"
        )
    _check_files(layout, found, have)
    return found


def _folder(layout: Layout, name: str, download: bool, have: Collection[str]) -> Path:
    if Path(name).is_dir():
        return Path(name)
    source = read_model(name).source if name in available() else name
    if Path(source).is_dir():
        return Path(source)
    if "/" not in source:
        raise StrategyError(
            f"--base {name!r} is unknown; give a folder in diffusers format, a hub id or one of "
            f"{', '.join(available())}"
        )
    wanted = list(PLAIN)
    try:
        if download:
            folder = snapshot_download(source, allow_patterns=wanted)
            wanted += [f"{part}/*.safetensors" for part in _lacking(Path(folder), have)]
            return Path(snapshot_download(source, allow_patterns=wanted))
        return Path(snapshot_download(source, allow_patterns=wanted, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        raise StrategyError(_absent(layout, source, download, error)) from None


def _lacking(folder: Path, have: Collection[str]) -> list[str]:
    """Networks of the pipeline that are not there yet."""
    index = _json(folder / INDEX)
    return networks(Base(folder, index if isinstance(index, dict) else {}, ""), have)


def _absent(layout: Layout, source: str, download: bool, error: Exception) -> str:
    kind = layout.architecture.name if layout.architecture else "of a model"
    if download:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        return f"{layout.file.path}: its base {source} cannot be fetched: {reason}"
    plain = " ".join(f'--include "{one}"' for one in PLAIN)
    return (
        f"{layout.file.path} is {kind}, and its settings and tokenizers are not here: pass "
        f"--download, or get them with: hf download {source} {plain} --local-dir FOLDER, and give "
        "--base FOLDER"
    )


def _check_files(layout: Layout, base: Base, have: Collection[str]) -> None:
    """Refuse a base without a file that the pipeline needs."""
    lacking = []
    for part, kind in base.parts.items():
        there = {path.name for path in (base.folder / part).glob("*")}
        if kind.endswith("Scheduler"):
            needed = {"scheduler_config.json"}
        elif "Tokenizer" in kind:
            needed = {"tokenizer_config.json"}
            if not any(words <= there for words in WORDS):
                needed |= WORDS[0]
        else:
            needed = {"config.json"}
            if part not in have and not base.has_weights(part):
                raise StrategyError(_no_weights(layout, base, part))
        lacking += [f"{part}/{name}" for name in sorted(needed - there)]
    if lacking:
        raise StrategyError(
            f"--base {base.name} lacks {', '.join(lacking)}; copy the files of the published model "
            "there, without its weights"
        )


def _no_weights(layout: Layout, base: Base, part: str) -> str:
    other = ", or an autoencoder by --vae" if part == "vae" else ""
    return (
        f"{layout.file.path} has no {part}, and --base {base.name} has no weights of it "
        f"({part}/*.safetensors); give a base with them{other}"
    )


def _is_network(kind: str) -> bool:
    return not kind.endswith(("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "Extractor"))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def networks(base: Base, without: Collection[str] = ()) -> list[str]:
    """Names of the networks of a base, but for some."""
    return [part for part, kind in base.parts.items() if _is_network(kind) and part not in without]
