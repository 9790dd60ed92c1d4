"""Precision of a model without a config: that of its weights, if the device is fast in it."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from accel.models.config import Precision

DENOISERS = ("transformer", "unet")


def of_model(source: str, device: str) -> Precision:
    """Precision to load a folder or a hub id in: float32 on a CPU, 16 bits on a GPU.

    On a GPU it is bfloat16 if the denoiser's weights are. Newer transformers overflow in float16.
    """
    if not device.startswith("cuda"):
        return "float32"
    return "bfloat16" if _stored(Path(source)) == "BF16" else "float16"


def _stored(folder: Path) -> str:
    """Type of the first weight of a folder's denoiser, or empty if there is none."""
    for name in DENOISERS:
        for file in sorted((folder / name).glob("*.safetensors")):
            with safe_open(file, "pt") as weights:
                for key in weights.keys():  # noqa: SIM118
                    return str(weights.get_slice(key).get_dtype())
    return ""
