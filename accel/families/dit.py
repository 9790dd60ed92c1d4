"""Family `dit`: DiT and PixArt, whose denoiser is a stack of plain transformer blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import Tensor, nn

from accel.families import stacks
from accel.families.base import Family
from accel.families.token_grids import patches
from accel.sites import Sites, Sublayer, TokenAttention, TokenStream

INPUTS = {
    DiTTransformer2DModel: ("hidden_states", "timestep", "class_labels"),
    PixArtTransformer2DModel: ("hidden_states", "encoder_hidden_states", "timestep"),
}
KINDS = {"attn1": "attn", "attn2": "cross", "ff": "mlp"}


def sites(denoiser: Any) -> Sites | None:
    """Sites of a transformer, or None if `denoiser` is not of this family."""
    inputs = next((names for kind, names in INPUTS.items() if isinstance(denoiser, kind)), None)
    if inputs is None:
        return None
    parts = tuple(
        Sublayer(
            f"transformer_blocks.{i}.{name}",
            i,
            (kind,),
            getattr(block, name),
            norms=_norms(block, name),
        )
        for i, block in enumerate(denoiser.transformer_blocks)
        for name, kind in KINDS.items()
        if getattr(block, name, None) is not None
    )
    stream, output = _stream(denoiser), Transformer2DModelOutput
    guided = _null_class(denoiser) if isinstance(denoiser, DiTTransformer2DModel) else None
    return Sites(
        denoiser, (), None, (), (), (), parts, inputs, stream,
        output=output, scheduler_sees_guidance=guided, embedders=_embedders(denoiser),
        stack=stacks.find_stack(denoiser),
    )  # fmt: skip


def _null_class(denoiser: Any) -> Callable[[Mapping[str, Any]], bool]:
    """Predicate on arguments: whether DiT's solver steps both halves of guidance. The second half
    has the class after the last.
    """
    null = denoiser.config.num_embeds_ada_norm

    def guided(given: Mapping[str, Any]) -> bool:
        labels = given.get("class_labels")
        if labels is None or len(labels) % 2 or labels.is_meta:  # Without values none is known.
            return False
        one, other = labels.chunk(2)
        return bool(((one != null) & (other == null)).all())

    return guided


def _embedders(denoiser: Any) -> tuple[nn.Module, ...]:
    """Embedders of DiT, one in every block."""
    found = (getattr(block.norm1, "emb", None) for block in denoiser.transformer_blocks)
    return tuple(one for one in found if one is not None)


def _norms(block: Any, name: str) -> tuple[nn.Module, ...]:
    """Norms that a part reads; PixArt's cross-attention has none of its own."""
    classes = block.norm_type == "ada_norm_zero"
    norms = {"attn1": block.norm1.norm if classes else block.norm1}
    norms["ff"] = block.norm3 if classes else block.norm2
    return (norms[name],) if name in norms else ()


def _stream(denoiser: Any) -> TokenStream:
    classes = isinstance(denoiser, DiTTransformer2DModel)
    project: nn.Module = denoiser.proj_out_2 if classes else denoiser.proj_out
    return TokenStream(
        embed=denoiser.pos_embed,
        project=project,
        attentions=tuple(
            TokenAttention(f"transformer_blocks.{i}.attn1", block.attn1)
            for i, block in enumerate(denoiser.transformer_blocks)
        ),
        noise=lambda tokens: first_channels(tokens, denoiser.out_channels, denoiser.config),
        grid=lambda given: patches(given, denoiser.config.patch_size),
        conditional=0 if classes else 1,
    )


def first_channels(tokens: Tensor, channels: int, config: Any) -> Tensor:
    """The latents' channels of `[n, tokens, patch * patch * channels]`, without the variance."""
    values: Tensor = tokens.unflatten(-1, (-1, channels))[..., : config.in_channels]
    return values.flatten(-2)


FAMILY = Family(
    "dit", "a `transformer` of class DiTTransformer2DModel or PixArtTransformer2DModel", sites
)
