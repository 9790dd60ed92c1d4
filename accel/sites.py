"""Sites of a denoiser: the modules where methods act, as a family finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from accel.stack import BlockList
from strategies.plugins.former_names import FormerName, takes_former

Grid = tuple[int, ...]
Rotary = Literal["", "joint", "apart", "whole"]


@dataclass(frozen=True)
class Stage:
    """One down or up block of a UNet.

    Attributes:
        name: name of the block in the denoiser.
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
        name: name of the block in the denoiser.
        grid: module whose first input is the feature map `[n, c, h, w]` that becomes the tokens,
            row by row.
        block: the transformer block; `norm1` precedes its self-attention `attn1`. `attn2` is its
            cross-attention, or None.
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
        name: name in the denoiser.
        module: the module; its first input and its output are feature maps of the same grid.
        skip_path: function from the input to the output of a block that adds nothing.
        in_tuple: whether the output comes as a tuple of one.
    """

    name: str
    module: nn.Module
    skip_path: Callable[[Tensor], Tensor]
    in_tuple: bool


@dataclass(frozen=True)
class Sublayer:
    """One attention or feed-forward of a transformer block, before its gate.

    Attributes:
        name: name in the denoiser.
        block: number of its block, in the order they run.
        kinds: kinds of its output: `attn`, `cross` or `mlp`; two if they share a projection.
        module: the module; its first input and its output are tokens `[n, tokens, c]`. Joint
            attention returns two such tensors, of the image and of the text, and with an IP-Adapter
            a third one, of the image.
        inside: modules whose outputs only `module` reads.
        text: whether its tokens are the text's alone.
        norms: norms that its tokens come from, token by token and otherwise only modulated. The
            first has tokens of the output's shape. Other parts may read them as well.
        packed: whether `module` is an attention that holds the feed-forward, as FLUX.2's single
            blocks have.
    """

    name: str
    block: int
    kinds: tuple[str, ...]
    module: nn.Module
    inside: tuple[nn.Module, ...] = ()
    text: bool = False
    norms: tuple[nn.Module, ...] = ()
    packed: bool = False


@dataclass(frozen=True)
class TokenAttention:
    """One attention over the image's tokens, with or without those of the text.

    Attributes:
        name: name in the denoiser.
        module: diffusers' attention, whose queries, keys and values are linear maps of tokens `[n,
            tokens, c]` called `to_q`, `to_k` and `to_v`; one map `to_qkv_mlp_proj` if it is packed.
        rotary: form in which it gets the positions of its tokens: "joint", one table for text and
            image, text first; "apart", one for each; "whole", one for the image, and its norms are
            over all heads at once; empty if it gets none.
        packed: whether one map gives queries, keys, values and the input of a feed-forward, in this
            order, and another one projects the results of both.
    """

    name: str
    module: nn.Module
    rotary: Rotary = ""
    packed: bool = False


@dataclass(frozen=True)
class TokenStream:
    """Path of the image's tokens through a transformer, on which some of them may be left out.

    Attributes:
        embed: module whose output `[n, tokens, c]` are the tokens, row by row of their grid; or a
            feature map `[n, c, frames, rows, columns]` of them.
        project: module whose output `[n, tokens, patch * patch * channels]` is the prediction.
        attentions: attentions whose keys and values come from image tokens.
        noise: function from the output of `project` to the predicted noise, without a predicted
            variance.
        grid: function from the denoiser's arguments by name to height and width of the grid of
            tokens, of videos with the number of frames before them.
        conditional: the half of guidance, or the pass of two, that has the prompt; where the
            network's family has no order, its pipeline knows.
        beside: names of arguments with a list of tensors `[n, tokens, c]` that are added to tokens.
    """

    embed: nn.Module
    project: nn.Module
    attentions: tuple[TokenAttention, ...]
    noise: Callable[[Tensor], Tensor]
    grid: Callable[[Mapping[str, Any]], Grid]
    conditional: int = 1
    beside: tuple[str, ...] = ()


@takes_former(doubled="scheduler_sees_guidance", counted="scheduler_counts_calls")
@dataclass(frozen=True)
class Sites:
    """Everything that methods may touch in one denoiser.

    Attributes:
        denoiser: the denoiser; its `forward` is one call.
        down, mid, up: blocks of a UNet; skip level 0 is the input convolution's output, which the
            last up layer takes.
        attentions: attention sites in the order they run.
        blocks: residual and transformer blocks in no particular order.
        parts: parts of transformer blocks, in the order they run; for UNets only the attentions.
        inputs: names of the denoiser's positional arguments; the first is its input.
        stream: path of the image's tokens through a transformer; None for UNets, and where it is
            not known.
        pathless: reason why it is not known, for messages.
        scaled_time: whether the denoiser gets a computed share of the timestep, not the timestep
            itself.
        output: class of the denoiser's output, which has the prediction as the field `sample`.
        scheduler_sees_guidance: predicate on the denoiser's arguments by name: whether the
            scheduler steps both halves of guidance. None if it never does. Called once per
            generation; may wait for the device.
        embedders: embedders of timesteps and classes, `[rows]` each, one in every block.
        flow: whether the denoiser predicts the velocity of a flow; None if that is not known.
        stack: lists of a transformer's blocks in the order they run.
        time: name of the denoiser's argument for the timestep.
        ordered: whether the order of the two halves of guidance is that of the network's family; if
            not, its pipeline knows.
        scheduler_counts_calls: whether the scheduler's count of its steps tells the call, if it has
            one.
    """

    denoiser: nn.Module
    down: tuple[Stage, ...]
    mid: nn.Module | None
    up: tuple[Stage, ...]
    attentions: tuple[AttentionSite, ...]
    blocks: tuple[Block, ...]
    parts: tuple[Sublayer, ...] = ()
    inputs: tuple[str, ...] = ("sample", "timestep")
    stream: TokenStream | None = None
    scaled_time: bool = False
    output: type[BaseOutput] = UNet2DConditionOutput
    scheduler_sees_guidance: Callable[[Mapping[str, Any]], bool] | None = None
    embedders: tuple[nn.Module, ...] = ()
    flow: bool | None = False
    stack: tuple[BlockList, ...] = ()
    time: str = "timestep"
    scheduler_counts_calls: bool = False
    ordered: bool = True
    pathless: str = ""

    doubled = FormerName("scheduler_sees_guidance")
    counted = FormerName("scheduler_counts_calls")

    @property
    def conditional(self) -> int:
        """The half of guidance, or the pass of two, that has the prompt."""
        return 1 if self.stream is None else self.stream.conditional

    def sample(self, given: Mapping[str, Any]) -> Tensor:
        """The denoiser's input, with a row for each image, from its arguments by name.

        Of a list of images it is a view that has the first one in every row.
        """
        value = given[self.inputs[0]]
        if isinstance(value, Tensor):
            return value
        first = value[0]
        while not isinstance(first, Tensor):
            first = first[0]
        return first.expand(len(value), *first.shape)

    @property
    def skip_levels(self) -> int:
        """Number of skip connections: 12 in Stable Diffusion 1.x and 2.x, 9 in XL."""
        return sum(len(stage.layers) for stage in self.up)
