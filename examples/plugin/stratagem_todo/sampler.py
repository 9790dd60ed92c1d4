"""ToDo: token downsampling (Smith et al., 2024, arXiv 2402.13573).

Neighbouring tokens of a feature map are alike. So keys and values are taken of every `factor`-th
row and column (nearest-neighbour downsampling of the grid), while every token keeps its query.
Nothing is merged, so nothing has to be restored.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from accel.call_records import Recorder
from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, watch
from accel.sites import Sites
from accel.tokens.reduced_attention import (
    ReducedSelfAttention,
    attach_all,
    choose_attentions,
    plain_maps,
)
from stratagem_todo.knobs import ToDo


def attach(sites: Sites, clock: Clock, knobs: ToDo, recorder: Recorder) -> Undo:
    """Downsample keys and values along `knobs.factor` until undone.

    Raises:
        StrategyError: the model has no self-attention over a grid, or attention processors that
            this method would mislead.
    """
    chosen = choose_attentions(sites, knobs.levels, knobs.method)
    plain_maps(chosen, clock, knobs.method)
    return attach_all([_Site(site, clock, recorder, knobs) for site in chosen])


class _Site(ReducedSelfAttention):
    factor = 1

    def begin(self) -> None:
        self.factor = self.knobs.factor[self.clock.call]
        self.active = self.factor > 1

    def attach(self) -> list[Undo]:
        """Wrap the attention, and see the grid of its tokens."""
        grid: Any = self.site.grid
        return [
            watch(grid, "register_forward_pre_hook", self.see_grid, with_kwargs=True),
            replace_forward(self.site.block.get_submodule("attn1"), self.wrap),
        ]

    def wrap(self, original: Forward) -> Forward:
        """Forward of the attention with keys and values of the coarser grid."""

        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            context = kwargs.get("encoder_hidden_states", args[0] if args else None)
            if not self.active or context is not None:
                return original(hidden_states, *args, **kwargs)
            coarse = downsampled(hidden_states, self.shape, self.factor)
            self.kept = hidden_states.shape[1], coarse.shape[1]
            given = {**kwargs, "encoder_hidden_states": coarse}
            return original(hidden_states, *args[1:], **given)

        return forward

    def attend(self, metric: Tensor, tokens: Tensor, attention: Forward) -> Tensor | None:
        raise AssertionError("`wrap` is replaced, so no token is left out of the queries")


def downsampled(tokens: Tensor, grid: tuple[int, int], factor: int) -> Tensor:
    """Tokens `[n, rows * columns, c]` of every `factor`-th row and column."""
    return tokens.unflatten(1, grid)[:, ::factor, ::factor].flatten(1, 2)
