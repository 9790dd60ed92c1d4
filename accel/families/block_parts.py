"""Attentions and feed-forwards of a transformer's blocks, found by how a block's source runs them.

A part is a child of a block with one of the usual names. Its result must be one that can be kept:
the block calls it once in a pass. FLUX's single blocks run attention and feed-forward into one
projection, which is then the part. `APART` has the models whose parts do not stand for themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from accel.families.source_calls import Called
from accel.families.source_calls import calls as calls_of
from accel.sites import Sublayer
from accel.stack import BlockList, numbered

SELF = frozenset({"attn", "attn1", "self_attn", "attention", "self_attention"})
CROSS = frozenset({"attn2", "cross_attn", "cross_attention"})
TEXT = frozenset({"ff_context", "txt_mlp", "txt_ff", "ff_t"})
FEED = frozenset({"ff", "ffn", "mlp", "img_mlp", "feed_forward", "ff_i"}) | TEXT
JOINED = ("attn", "proj_mlp", "proj_out")  # Of FLUX's single blocks.
# Models whose parts cannot be kept, and why.
APART = {
    "ErnieImageTransformer2DModel": "its feed-forwards have tokens before the rows of the batch",
    "LatteTransformer3DModel": "its blocks have other rows than its input",
    "TransformerTemporalModel": "its blocks have other rows than its input",
    "LuminaNextDiT2DModel": "its two attentions share one projection",
}


def find_parts(denoiser: Any, stack: Sequence[BlockList]) -> tuple[Sublayer, ...]:
    """Parts of a model's blocks in the order they run; none where they cannot be told."""
    if type(denoiser).__name__ in APART:
        return ()
    return tuple(
        part
        for number, block in enumerate(numbered(stack))
        for part in _of(block.name, number, block.module)
    )


def _of(name: str, number: int, block: nn.Module) -> Iterator[Sublayer]:
    """Parts of one block."""
    kind: Any = type(block)
    calls = calls_of(kind)
    names = [one for one in calls if isinstance(getattr(block, one, None), nn.Module)]
    if set(JOINED) <= set(names) and _joined(block, calls):
        attn, feed, module = (getattr(block, one) for one in JOINED)
        yield Sublayer(f"{name}.proj_out", number, ("attn", "mlp"), module, (attn, feed))
        return
    for one in names:
        if calls[one].most != 1:
            continue
        module = getattr(block, one)
        if one in SELF:
            fused = hasattr(module, "to_qkv_mlp_proj")  # FLUX.2's single blocks.
            kinds = ("attn", "mlp") if fused else ("attn",)
            yield Sublayer(f"{name}.{one}", number, kinds, module, packed=fused)
        elif one in CROSS:
            yield Sublayer(f"{name}.{one}", number, ("cross",), module)
        elif one in FEED:
            yield Sublayer(f"{name}.{one}", number, ("mlp",), module, text=one in TEXT)


def _joined(block: nn.Module, calls: dict[str, Called]) -> bool:
    """Whether only the projection reads the attention and the feed-forward, token by token."""
    others = (SELF | CROSS | FEED) - {"attn"}
    alone = not any(isinstance(getattr(block, one, None), nn.Module) for one in others)
    attn, feed, project = (calls[one] for one in JOINED)
    once = all(one.most == 1 for one in (attn, feed, project))
    return alone and once and attn.single and feed.inside == "act_mlp"


__all__ = ["APART", "find_parts"]
