"""Tokenizer and text encoder of a bundled model.

transformers 4 and early versions of 5 name CLIP's weights with a prefix that the files do not have.
They would warn, and leave the weights at random.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

from strategies.errors import StrategyError

PREFIX = "text_model"


def text_encoder(place: Path, dtype: torch.dtype) -> Any:
    """Text encoder of a folder.

    Raises:
        StrategyError: the encoder has other weights than the file.
    """
    settings = json.loads((place / "config.json").read_text("utf-8"))
    kind = getattr(transformers, settings["architectures"][0])
    config, weights = kind.config_class(**settings), load_file(place / "model.safetensors")
    with torch.device("meta"):
        prefixed = hasattr(kind(config), PREFIX)
    if prefixed:
        weights = {f"{PREFIX}.{name}": value for name, value in weights.items()}
    encoder, report = kind.from_pretrained(
        None, config=config, state_dict=weights, dtype=dtype, output_loading_info=True
    )
    if report["missing_keys"] or report["unexpected_keys"]:
        raise StrategyError(
            f"{place}: {kind.__name__} of transformers {transformers.__version__} has other "
            "weights than this file; install another version"
        )
    return encoder


def tokenizer(place: Path) -> Any:
    """Tokenizer of a folder."""
    settings = json.loads((place / "tokenizer_config.json").read_text("utf-8"))
    name = settings["tokenizer_class"]
    kind = getattr(transformers, f"{name}Fast", getattr(transformers, name))
    # The file of version 5 has a list there, which version 4 cannot read.
    return kind.from_pretrained(place, local_files_only=True, extra_special_tokens={})
