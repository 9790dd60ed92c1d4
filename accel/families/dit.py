"""Family `dit`: DiT and PixArt, whose denoiser is a stack of plain transformer blocks."""

from __future__ import annotations

from typing import Any

from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from accel.sites import Part, Sites

SUPPORTED = "a `transformer` of class DiTTransformer2DModel or PixArtTransformer2DModel"
INPUTS = {
    DiTTransformer2DModel: ("hidden_states", "timestep"),
    PixArtTransformer2DModel: ("hidden_states", "encoder_hidden_states", "timestep"),
}
KINDS = {"attn1": "attn", "attn2": "cross", "ff": "mlp"}


def sites(denoiser: Any) -> Sites | None:
    """The sites of a transformer, or None where `denoiser` is not one of this family."""
    denoiser = getattr(denoiser, "_orig_mod", denoiser)  # Inside torch.compile's wrapper.
    inputs = next((names for kind, names in INPUTS.items() if isinstance(denoiser, kind)), None)
    if inputs is None:
        return None
    parts = tuple(
        Part(f"transformer_blocks.{i}.{name}", kind, getattr(block, name), i)
        for i, block in enumerate(denoiser.transformer_blocks)
        for name, kind in KINDS.items()
        if getattr(block, name, None) is not None
    )
    return Sites(denoiser, (), None, (), (), (), parts, inputs, Transformer2DModelOutput)
