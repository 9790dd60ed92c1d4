"""A pipeline from the configs in a folder, with random weights: for speed, never for quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from strategies import StrategyError

# Components that are files of settings or vocabulary, never weights.
PLAIN = ("Tokenizer", "TokenizerFast", "Scheduler", "FeatureExtractor", "Processor")


def untrained(folder: Path, seed: int = 0) -> Any:
    """The pipeline whose `model_index.json` is in `folder`; no file of weights is read.

    Args:
        folder: in diffusers format, weights may be missing.
        seed: of the weights.

    Raises:
        StrategyError: no such folder, or a component whose config is missing or unknown.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise StrategyError(
            f"{folder} has no model_index.json; --random-weights needs a folder in diffusers "
            "format, with every component's config and the tokenizers, but without weights"
        )
    entries = json.loads(index.read_text(encoding="utf-8"))
    kind = getattr(diffusers, entries.get("_class_name", ""), None)
    if kind is None:
        raise StrategyError(f"{index}: unknown pipeline {entries.get('_class_name')!r}")
    parts: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, entry in entries.items():
            if name.startswith("_"):
                continue
            parts[name] = _component(folder, name, entry) if isinstance(entry, list) else entry
    return kind(**parts)


def _component(folder: Path, name: str, entry: list[Any]) -> Any:
    library, title = entry
    if title is None:
        return None
    home = {"diffusers": diffusers, "transformers": transformers}.get(library)
    kind = getattr(home, title, None) if home else None
    if kind is None:
        raise StrategyError(f"{folder}: component {name} is of unknown class {library}.{title}")
    try:
        if title.endswith(PLAIN):
            return kind.from_pretrained(folder / name, local_files_only=True)
        if library == "diffusers":
            return kind.from_config(kind.load_config(folder / name)).eval()
        config = transformers.AutoConfig.from_pretrained(folder / name, local_files_only=True)
        return kind(config).eval()
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StrategyError(f"{folder}: component {name}: {reason}") from None
