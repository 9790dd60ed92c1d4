"""Fingerprints of a model by content: its source, and the parts beside it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from accel.models import sources
from accel.models.files import base as bases
from accel.models.files import lora_files, weight_file
from accel.models.files.layouts import layout
from accel.models.parts import ModelParts
from accel.models.sources import BUNDLED
from evaluate import fingerprint
from strategies import StrategyError

SETTINGS = ("*/*.json", "*/*.txt", "*/*.model")
# Packages that decide images if a part needs them.
NEEDED = {"loras": "peft", "torchao": "torchao", "quanto": "optimum-quanto",
          "bitsandbytes": "bitsandbytes", "gguf": "gguf"}  # fmt: skip


def model_digests(source: str, parts: ModelParts | None = None) -> dict[str, str]:
    """Digest of each part of a model, also of LoRAs with their weights, and of other parts.

    Args:
        source: `zoo:NAME`, a folder, a file, a hub id in the hub's cache, or `module:function`.
        parts: parts beside the source.

    Raises:
        StrategyError: something is not on this machine, or cannot be read.
    """
    parts = parts or ModelParts()
    kind = sources.kind_of(source)
    if kind == "function":
        from accel.models.files import functions  # Loads torch and diffusers.

        found = functions.part_digests(source)
    elif kind == "file":
        found = _of_file(source, parts)
    else:
        found = fingerprint.weight_digests(source)
    for part, given in (("vae", parts.vae), ("controlnet", parts.controlnet)):
        if given:
            found = found | {part: _of_network(given, part)}
    for number, lora in enumerate(parts.loras, 1):
        place = lora_files.find_lora_file(lora.path)
        beside = place.with_name(lora_files.SETTINGS)
        files = [place, *([beside] if beside.is_file() else [])]
        digest = fingerprint.combined(
            [sorted(fingerprint.digests(place.parent, files).values()), lora.weight, lora.fuse]
        )
        found[f"lora {number}"] = digest
    for number, one in enumerate(parts.embeddings, 1):
        digest = fingerprint.digest(Path(one.path))
        found[f"embedding {number}"] = fingerprint.combined([digest, one.token])
    return found


def _of_file(source: str, parts: ModelParts) -> dict[str, str]:
    """Digests of a file, and of what is read from its base."""
    content = layout(weight_file.read_header(source))
    base = bases.find_base(content, parts.base, False, ["vae"] if parts.vae else [])
    names = {*base.parts}
    files = [path for one in SETTINGS for path in sorted(base.folder.glob(one))]
    lacking = bases.networks(base, content.parts | ({"vae"} if parts.vae else set()))
    files += [
        path for part in lacking for path in sorted((base.folder / part).glob("*.safetensors"))
    ]
    read = [path for path in files if path.parent.name in names]
    found = fingerprint.digests(base.folder, [base.folder / bases.INDEX, *read])
    return {"file": fingerprint.digest(Path(source)), "base": fingerprint.combined(found)}


def _of_network(source: str, part: str) -> str:
    """Digest of an autoencoder or a ControlNet: a file, a folder, or a hub id."""
    place = Path(source)
    if place.is_file():
        return fingerprint.digest(place)
    if not place.is_dir():
        config = try_to_load_from_cache(source, "config.json")
        if not isinstance(config, str):
            raise StrategyError(f"--{part} {source}: it is neither a folder nor in the hub's cache")
        place = Path(config).parent
    if (place / part).is_dir():
        place = place / part
    files = sorted([*place.glob("*.json"), *place.glob("*.safetensors")])
    return fingerprint.combined(fingerprint.digests(place, files))


def packages(parts: ModelParts) -> dict[str, str]:
    """Installed versions of the packages that a model's parts need beside the usual ones."""
    names = [NEEDED["loras"]] if parts.loras else []
    names += [NEEDED[one.backend] for one in parts.quantize if one.backend in NEEDED]
    source = str(getattr(parts, "source", ""))
    if not source.startswith(BUNDLED) and source.lower().endswith(".gguf"):
        names.append(NEEDED["gguf"])
    return {name: _version(name) for name in sorted(set(names))}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
