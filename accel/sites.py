"""What a family finds in a denoiser: the places where methods act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from diffusers.utils import BaseOutput
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """One down or up block of a UNet.

    Attributes:
        name: of the block in the denoiser.
        block: the module.
        layers: its skip levels in the order they run. In a down block each gives one skip
            connection, in an up block each takes one; a layer's modules run one after the other.
    """

    name: str
    block: nn.Module
    layers: tuple[tuple[nn.Module, ...], ...]


@dataclass(frozen=True)
class AttentionSite:
    """One transformer block with self-attention over a token grid.

    Attributes:
        name: of the block in the denoiser.
        grid: the module whose first input is the feature map `[n, c, h, w]` that the tokens are
            made of, row by row.
        block: the transformer block; `norm1` precedes its self-attention `attn1`, and `attn2`,
            where it is not None, is its cross-attention.
        halvings: how often the grid of the denoiser's input has been halved, rounding up.
        level: 0 on the largest resolution that has self-attention, 1 on the next, and so on.
    """

    name: str
    grid: nn.Module
    block: nn.Module
    halvings: int
    level: int


@dataclass(frozen=True)
class Block:
    """One residual or transformer block.

    Attributes:
        name: in the denoiser.
        module: its first input and its output are feature maps of the same grid.
        around: of the input, what the output would be if the block added nothing.
        in_tuple: the output comes as a tuple of one.
    """

    name: str
    module: nn.Module
    around: Callable[[Tensor], Tensor]
    in_tuple: bool


@dataclass(frozen=True)
class Part:
    """One attention or feed-forward of a transformer block, before its gate.

    Attributes:
        name: in the denoiser.
        block: number of its block, in the order they run.
        kinds: what its output holds: `attn`, `cross` or `mlp`; two where they share a projection.
        module: its first input and its output are tokens `[n, tokens, c]`; joint attention gives
            two such tensors, of the image and of the text, and with an IP-Adapter a third one, of
            the image.
        inside: modules whose outputs only `module` reads.
        text: its tokens are the text's alone.
        norms: what its tokens come from, token by token and otherwise only modulated; the first is
            of the tokens that its output has the shape of. They may be other parts' as well.
    """

    name: str
    block: int
    kinds: tuple[str, ...]
    module: nn.Module
    inside: tuple[nn.Module, ...] = ()
    text: bool = False
    norms: tuple[nn.Module, ...] = ()


@dataclass(frozen=True)
class TokenAttention:
    """One attention over the image's tokens, with or without those of the text.

    Attributes:
        name: in the denoiser.
        module: diffusers' attention, whose queries, keys and values are linear maps of tokens
            `[n, tokens, c]` called `to_q`, `to_k` and `to_v`.
        rotary: it gets the positions of its tokens as `image_rotary_emb`, text first.
    """

    name: str
    module: nn.Module
    rotary: bool = False


@dataclass(frozen=True)
class TokenStream:
    """The image's tokens on their way through a transformer, where only some of them may go it.

    Attributes:
        embed: its output `[n, tokens, c]` are the tokens, row by row of their grid.
        project: its output `[n, tokens, patch * patch * channels]` is the prediction.
        attentions: those whose keys and values come from image tokens.
        noise: from the output of `project`, the predicted noise, without a predicted variance.
        grid: height and width of the grid of tokens, from the denoiser's arguments by name.
        conditional: which half of guidance, or which of its two passes, has the prompt.
        beside: names of arguments with a list of tensors `[n, tokens, c]` that are added to tokens.
    """

    embed: nn.Module
    project: nn.Module
    attentions: tuple[TokenAttention, ...]
    noise: Callable[[Tensor], Tensor]
    grid: Callable[[Mapping[str, Any]], tuple[int, int]]
    conditional: int
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sites:
    """Everything that methods may touch in one denoiser.

    Attributes:
        denoiser: its `forward` is one call.
        down, mid, up: the blocks; skip level 0 is the input convolution's output, which the last
            up layer takes.
        attentions: in the order they run.
        blocks: in no particular order.
        parts: of transformer blocks, in the order they run; of UNets only the attentions.
        inputs: names of the denoiser's positional arguments; the first is its input.
        stream: of transformers, the way of the image's tokens.
        scaled_time: the denoiser gets a computed share of the timestep, not the timestep itself.
        output: what the denoiser returns its prediction in, as the field `sample`.
        doubled: where the solver, too, gets every image twice for guidance: whether it does, from
            the denoiser's arguments by name. Asked once per generation; may wait for the device.
        embedders: of timesteps and classes, `[rows]` each, one in every block.
        flow: the denoiser predicts the velocity of a flow.
    """

    denoiser: nn.Module
    down: tuple[Stage, ...]
    mid: nn.Module | None
    up: tuple[Stage, ...]
    attentions: tuple[AttentionSite, ...]
    blocks: tuple[Block, ...]
    parts: tuple[Part, ...] = ()
    inputs: tuple[str, ...] = ("sample", "timestep")
    stream: TokenStream | None = None
    scaled_time: bool = False
    output: type[BaseOutput] = UNet2DConditionOutput
    doubled: Callable[[Mapping[str, Any]], bool] | None = None
    embedders: tuple[nn.Module, ...] = ()
    flow: bool = False

    @property
    def conditional(self) -> int:
        """Which half of guidance, or which of its two passes, has the prompt."""
        return 1 if self.stream is None else self.stream.conditional

    @property
    def skip_levels(self) -> int:
        """How many skip connections there are: 12 in Stable Diffusion 1.x and 2.x, 9 in XL."""
        return sum(len(stage.layers) for stage in self.up)
