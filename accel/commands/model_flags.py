"""Flags that say which parts a model is put together from, shared by all commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from accel.models.parts import OFFLOADS, TYPES
from strategies import StrategyError

# Names of the flags, as a parser holds them.
NAMES = (
    *("base", "lora", "fuse_loras", "vae", "embedding", "controlnet"),
    *("quantize", "offload", "attention", "compile"),
)


def add(made: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, as a group."""
    group = made.add_argument_group("parts of the model (docs/model-files.md)")
    group.add_argument(
        "--base",
        metavar="NAME",
        help="source of the parts that a single file lacks: a folder in diffusers format, which "
        "needs no weights for the other parts, a hub id or a config's name (default: the "
        "published model of the file's architecture)",
    )
    group.add_argument(
        "--lora",
        action="append",
        metavar="PATH[=WEIGHT]",
        help="LoRA to add, a .safetensors file or a folder; give it once for each",
    )
    group.add_argument(
        "--fuse-loras",
        action="store_true",
        default=None,
        help="add the LoRAs to the weights once, which costs no time per call",
    )
    group.add_argument(
        "--vae", metavar="PATH", help="another autoencoder: a folder, a .safetensors file, a hub id"
    )
    group.add_argument(
        "--embedding",
        action="append",
        metavar="FILE[=TOKEN]",
        help="textual inversion, and the word that prompts name it by; give it once for each",
    )
    group.add_argument(
        "--controlnet",
        metavar="PATH",
        help="ControlNet, which needs an input image: a folder, a .safetensors file, a hub id",
    )
    kinds = "; ".join(f"{backend}: {', '.join(types)}" for backend, types in TYPES.items())
    group.add_argument(
        "--quantize",
        action="append",
        metavar="BACKEND:TYPE[:PART]",
        help=f"store the weights of a part, or of the denoiser, in fewer bits ({kinds})",
    )
    group.add_argument(
        "--offload",
        choices=OFFLOADS,
        help="keep weights in main memory until they are needed (default: none)",
    )
    group.add_argument(
        "--attention", metavar="NAME", help="attention backend of diffusers, such as native or sage"
    )
    group.add_argument(
        "--compile", action="store_true", default=None, help="compile the denoiser with torch"
    )


def add_control_image(made: argparse.ArgumentParser) -> None:
    """Add the flag of the one image that commands without --inputs take."""
    made.add_argument(
        "--control-image", type=Path, metavar="FILE", help="image that steers --controlnet"
    )


def asked_parts(flags: argparse.Namespace) -> dict[str, Any]:
    """Fields of `ModelParts` that the flags ask for.

    Raises:
        StrategyError: a weight that is no number, or a flag that is not understood.
    """
    found: dict[str, Any] = {
        name: getattr(flags, name)
        for name in ("base", "vae", "controlnet", "offload", "attention", "compile")
        if getattr(flags, name) is not None
    }
    if flags.lora:
        found["loras"] = [_lora(text, bool(flags.fuse_loras)) for text in flags.lora]
    elif flags.fuse_loras:
        raise StrategyError("--fuse-loras goes with --lora; give the files")
    if flags.embedding:
        found["embeddings"] = [
            dict(zip(("path", "token"), _split(text), strict=True)) for text in flags.embedding
        ]
    if flags.quantize:
        found["quantize"] = [_quantize(text) for text in flags.quantize]
    return found


def given_flags(flags: argparse.Namespace) -> list[str]:
    """Names of the flags that were given."""
    return [name for name in NAMES if getattr(flags, name) not in (None, [])]


def _split(text: str) -> tuple[str, str]:
    """A path and what follows its last equals sign."""
    if Path(text).exists() or "=" not in text:
        return text, ""
    path, _, rest = text.rpartition("=")
    return path, rest


def _lora(text: str, fuse: bool) -> dict[str, Any]:
    path, weight = _split(text)
    try:
        return {"path": path, "weight": float(weight or 1), "fuse": fuse}
    except ValueError:
        raise StrategyError(
            f"--lora {text}: {weight!r} is no number; give PATH=WEIGHT, such as {path}=0.8"
        ) from None


def _quantize(text: str) -> dict[str, str]:
    backend, _, rest = text.partition(":")
    kind, _, part = rest.partition(":")
    if backend not in TYPES or kind not in TYPES[backend]:
        every = [f"{one}:{each}" for one, types in TYPES.items() for each in types]
        raise StrategyError(f"--quantize {text!r} is unknown; there are {', '.join(every)}")
    return {"backend": backend, "type": kind, "part": part}
