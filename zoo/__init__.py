"""The bundled models: small pipelines in diffusers format, trained from scratch on drawn images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategies import StrategyError
from strategies.data_files.places import sibling_folder

if TYPE_CHECKING:
    import torch

# The bundled models, with what a call of each pipeline has to be told besides the prompt: the bins
# of PixArt's resolutions end at 256 pixels, and its 300 tokens are mostly padding here.
MODELS: dict[str, dict[str, Any]] = {
    "tiny-sd": {},
    "tiny-pixart": {
        "use_resolution_binning": False,
        "max_sequence_length": 20,
        "clean_caption": False,
    },
    "tiny-portraits": {},
}

# What each draws, which says which networks know its images.
SUBJECTS = {"tiny-sd": "shapes", "tiny-pixart": "shapes", "tiny-portraits": "portraits"}


def folder(name: str) -> Path:
    """Folder of a bundled model.

    Raises:
        StrategyError: there is no such model.
    """
    if name not in MODELS:
        raise StrategyError(f"bundled model {name!r} is unknown; there are {', '.join(MODELS)}")
    return models_folder() / name


def models_folder() -> Path:
    """Folder of all bundled models."""
    return sibling_folder("zoo") / "models"


def load(name: str, dtype: torch.dtype | None = None) -> Any:
    """A bundled pipeline, an ordinary `StableDiffusionPipeline` or `PixArtSigmaPipeline`.

    Call the pipeline with `**MODELS[name]` besides the prompt.

    Args:
        name: a name in `MODELS`.
        dtype: precision of the weights; by default float32.

    Raises:
        StrategyError: there is no such model.
    """
    import torch
    from diffusers import DiffusionPipeline

    from zoo.versions.precision import precision_argument
    from zoo.versions.text_parts import text_encoder, tokenizer

    place = folder(name)
    precision = dtype or torch.float32
    # diffusers refuses tokenizers of another class than the file names.
    pipe = DiffusionPipeline.from_pretrained(
        place,
        local_files_only=True,
        tokenizer=None,
        text_encoder=text_encoder(place / "text_encoder", precision),
        **precision_argument(precision),
    )
    pipe.register_modules(tokenizer=tokenizer(place / "tokenizer"))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def reference_features(subject: str = "shapes") -> torch.Tensor:
    """Features of real images from a seed that no training saw: float32 `[2048, 64]`.

    Args:
        subject: a value of `SUBJECTS`.
    """
    from safetensors.torch import load_file

    return load_file(networks_folder(subject) / "reference.safetensors")["features"].float()


def networks_folder(subject: str = "shapes") -> Path:
    """Folder of the feature network, the judge and the reference features.

    Args:
        subject: a value of `SUBJECTS`.
    """
    return sibling_folder("zoo") / "networks" / ("" if subject == "shapes" else subject)
