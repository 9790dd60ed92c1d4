"""Token Merging for Stable Diffusion (Bolya & Hoffman, CVPRW 2023, arXiv 2303.17604).

Before a self-attention the most similar tokens are averaged, after it every merged token gets the
output of the token it went into. Similarity is measured on the block's input, before its norm.
Destinations are the top-left tokens of the grid's cells rather than random ones, so a generation
needs no random stream of its own (the package's `use_rand=False`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from accel.clock import Clock
from accel.merging import match, split_grid
from accel.patching import Forward, Undo, replace_forward, undo_all
from accel.records import Recorder
from accel.sites import AttentionSite, Sites
from strategies import StrategyError
from strategies.methods.tome import ToMe


def attach(sites: Sites, clock: Clock, knobs: ToMe, recorder: Recorder) -> Undo:
    """Merge along `knobs.ratio` until undone.

    Raises:
        StrategyError: the model has no self-attention over a grid.
    """
    chosen = [site for site in sites.attentions if site.level < knobs.levels]
    if not chosen:
        raise StrategyError("methods.tome needs a model with self-attention; this one has none")
    undos: list[Undo] = []
    for site in chosen:
        undos += _attach_site(_Site(site, clock, knobs, recorder))
    return lambda: undo_all(undos)


class _Site:
    """One attention: the shape of its grid and its block's input, while the block runs."""

    def __init__(self, site: AttentionSite, clock: Clock, knobs: ToMe, recorder: Recorder) -> None:
        self.site, self.clock, self.knobs, self.recorder = site, clock, knobs, recorder
        self.shape = (0, 0)
        self.metric: Tensor | None = None

    def see_grid(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the module that turns a feature map into tokens."""
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self.shape = (hidden.shape[-2], hidden.shape[-1])

    def see_input(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the norm before self-attention."""
        self.metric = args[0] if args else next(iter(kwargs.values()))

    def wrap(self, original: Forward) -> Forward:
        """Self-attention over merged tokens."""

        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            metric, self.metric = self.metric, None
            ratio = self.knobs.ratio[self.clock.call]
            context = kwargs.get("encoder_hidden_states", args[0] if args else None)
            if ratio == 0 or context is not None or metric is None:
                return original(hidden_states, *args, **kwargs)
            tokens = hidden_states.shape[1]
            source, destination = split_grid(*self.shape, self.knobs.stride, hidden_states.device)
            if len(destination) == 0:  # A grid narrower than one cell has nothing to merge into.
                return original(hidden_states, *args, **kwargs)
            count = min(int(tokens * ratio), len(source))
            with torch.no_grad():
                merge = match(metric, source, destination, count)
            self.recorder.now.tokens[self.site.name] = (tokens, tokens - count)
            return merge.unmerge(original(merge.merge(hidden_states), *args, **kwargs))

        return forward


def _attach_site(state: _Site) -> list[Undo]:
    block: Any = state.site.block
    return [
        state.site.grid.register_forward_pre_hook(state.see_grid, with_kwargs=True).remove,
        block.norm1.register_forward_pre_hook(state.see_input, with_kwargs=True).remove,
        replace_forward(block.attn1, state.wrap),
    ]
