"""Self-attention over fewer tokens, shared by the token methods."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.compatibility.attention_processors import Processors, Trait
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all, watch
from accel.sites import AttentionSite, Sites
from accel.tokens.merging import Reduction
from strategies import StrategyError


class ReducedSelfAttention(CallListener):
    """One self-attention: the shape of its grid and its block's input, while the block runs.

    Similarity is measured on the block's input, before its norm, as in the published code of all
    token methods here.
    """

    def __init__(self, site: AttentionSite, clock: Clock, recorder: Recorder, knobs: Any) -> None:
        self.site, self.clock, self.recorder, self.knobs = site, clock, recorder, knobs
        self.shape = (0, 0)
        self.metric: Tensor | None = None
        self.active = False
        self.kept: tuple[int, int] | None = None
        clock.listeners.append(self)

    @abstractmethod
    def attend(self, metric: Tensor, tokens: Tensor, attention: Forward) -> Tensor | None:
        """Self-attention of `[n, tokens, c]` over fewer tokens, or None to attend over all."""

    def end(self, output: Tensor) -> None:
        if self.kept is not None:
            self.recorder.now.tokens[self.site.name] = self.kept
        self.kept = self.metric = None

    def clear(self) -> None:
        self.kept = self.metric = None

    def see_grid(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the module that turns a feature map into tokens."""
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self.shape = (hidden.shape[-2], hidden.shape[-1])

    def see_input(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the norm before self-attention."""
        if self.active:
            self.metric = args[0] if args else next(iter(kwargs.values()))

    def wrap(self, original: Forward) -> Forward:
        """Wrapper of the attention's forward."""

        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            metric, self.metric = self.metric, None
            context = kwargs.get("encoder_hidden_states", args[0] if args else None)
            if not self.active or context is not None or metric is None:
                return original(hidden_states, *args, **kwargs)
            found = self.attend(
                metric, hidden_states, lambda tokens: original(tokens, *args, **kwargs)
            )
            return original(hidden_states, *args, **kwargs) if found is None else found

        return forward

    def through(self, chosen: Reduction, tokens: Tensor, attention: Forward) -> Tensor:
        """Reduce, attend, restore."""
        reduced = chosen.reduce(tokens)
        self.kept = (tokens.shape[1], reduced.shape[1])
        restored: Tensor = chosen.restore(attention(reduced))
        return restored

    def attach(self) -> list[Undo]:
        """Wrap the block."""
        block: Any = self.site.block
        return [
            watch(self.site.grid, "register_forward_pre_hook", self.see_grid, with_kwargs=True),
            watch(block.norm1, "register_forward_pre_hook", self.see_input, with_kwargs=True),
            replace_forward(block.attn1, self.wrap),
        ]


def choose_attentions(sites: Sites, levels: int, method: str) -> list[AttentionSite]:
    """The attentions on the `levels` largest resolutions that have self-attention.

    Raises:
        StrategyError: the model has none.
    """
    chosen = [site for site in sites.attentions if site.level < levels]
    if not chosen:
        raise StrategyError(f"methods.{method} needs a model with self-attention; this has none")
    return chosen


def plain_maps(sites: list[AttentionSite], clock: Clock, method: str, *breaks: Trait) -> None:
    """Check that no processor reads the maps of attentions over fewer tokens.

    Args:
        sites: attentions over fewer tokens.
        clock: the sampler's clock.
        method: name of the method, for messages.
        breaks: further traits that processors must not have.

    Raises:
        StrategyError: a processor of one of the attentions has such a trait.
    """
    modules = {f"{site.name}.attn1": site.block.get_submodule("attn1") for site in sites}
    Processors(clock, method, modules, (Trait.KEEPS, *breaks))


def attach_all(sites: list[ReducedSelfAttention]) -> Undo:
    """Wrap all of them, and return the function that undoes it."""
    undos = [undo for site in sites for undo in site.attach()]
    return lambda: undo_all(undos)


def no_grad(metric: Tensor) -> Tensor:
    """The metric without gradients, since choices of tokens have none."""
    return metric.detach() if torch.is_grad_enabled() else metric
