"""Pipelines with random weights, built from configs: for measuring speed, never quality."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from accel.models.byte_tokenizer import byte_tokenizer
from accel.models.config import Component, ModelConfig
from accel.models.loading import DTYPES
from strategies import StrategyError
from strategies.data_files.configs import read_config
from zoo import tiny_pixart, tiny_sd

# Components that are files of settings or vocabulary, never weights.
PLAIN = ("Tokenizer", "TokenizerFast", "Scheduler", "FeatureExtractor", "Processor")


def untrained(folder: Path, seed: int = 0) -> Any:
    """The pipeline whose `model_index.json` is in `folder`; no file of weights is read.

    Args:
        folder: folder in diffusers format; weights may be missing.
        seed: random seed of the weights.

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


def from_components(config: ModelConfig, device: str = "cpu", seed: int = 0) -> Any:
    """Build the pipeline of a config's `components` at full size, on its device and in its dtype.

    Text is cut into tokens by the bundled tokenizers, which have fewer words than the published
    ones. The encoders see as many tokens, since texts are padded to the same length. Components
    other than networks and solvers, such as a safety checker, are left out.

    Args:
        config: settings of the model.
        device: target device.
        seed: random seed of the weights.

    Raises:
        StrategyError: a class or config of a component is unknown, or they do not fit together.
    """
    kind = getattr(diffusers, config.pipeline, None)
    if kind is None:
        raise StrategyError(f"model {config.name}: unknown pipeline {config.pipeline!r}")
    with torch.random.fork_rng(devices=[]), _made(device, DTYPES[config.dtype]):
        torch.manual_seed(seed)
        parts: dict[str, Any] = {
            name: network(part)
            for name, part in config.components.items()
            if not part.kind.endswith("Scheduler")
        }
    for name, part in config.components.items():
        if part.kind.endswith("Scheduler"):
            parts[name] = _class(part).from_config(read_config("networks", part.config))
        if name.startswith("text_encoder"):
            parts[name.replace("text_encoder", "tokenizer")] = _tokenizer(part)
    takes = inspect.signature(kind.__init__).parameters
    parts |= {
        name: None for name in kind._optional_components if name in takes and name not in parts
    }
    if "requires_safety_checker" in takes:
        parts["requires_safety_checker"] = False
    try:
        return kind(**parts).to(device)
    except (TypeError, ValueError) as error:
        raise StrategyError(f"model {config.name}: {config.pipeline}: {error}") from None


def network(part: Component) -> torch.nn.Module:
    """Build a network of a config, with fresh weights on torch's current device and in its dtype.

    Raises:
        StrategyError: its class or its config is unknown, or they do not fit together.
    """
    kind, values = _class(part), read_config("networks", part.config)
    made: torch.nn.Module
    try:
        if hasattr(diffusers, part.kind):  # Its classes silently drop unknown settings.
            unknown = sorted(set(values) - {*inspect.signature(kind.__init__).parameters})
            if unknown:
                raise StrategyError(f"network {part.config}: {part.kind} has no {unknown[0]}")
            made = kind.from_config(values)
        else:
            made = kind(kind.config_class(**values))
    except StrategyError:
        raise
    except (TypeError, ValueError) as error:
        raise StrategyError(f"{part.kind} cannot be built from {part.config}: {error}") from None
    return made.eval()


def _class(part: Component) -> Any:
    kind = getattr(diffusers, part.kind, None) or getattr(transformers, part.kind, None)
    if kind is None:
        raise StrategyError(f"component {part.kind!r} is no class of diffusers or transformers")
    return kind


def _tokenizer(part: Component) -> Any:
    if part.kind.startswith(("T5", "UMT5")):
        return tiny_pixart.tokenizer()
    if not part.kind.startswith("CLIP"):
        return byte_tokenizer()
    words = tiny_sd.tokenizer()
    words.model_max_length = read_config("networks", part.config)["max_position_embeddings"]
    return words


@contextmanager
def _made(device: str, dtype: torch.dtype) -> Iterator[None]:
    """Make new tensors on a device and in a dtype, so that billions of weights exist only once."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)
