"""Token Merging for Stable Diffusion (Bolya & Hoffman, CVPRW 2023, arXiv 2303.17604).

The most similar tokens are averaged before a self-attention, and every merged token then gets the
output of the token it was merged into. Destinations are the top-left tokens of the grid's cells,
not random ones, so a generation needs no random stream of its own (the package's `use_rand=False`).
"""

from __future__ import annotations

from torch import Tensor

from accel.call_records import Recorder
from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo
from accel.sites import Sites
from accel.tokens.merging import match, split_grid
from accel.tokens.reduced_attention import (
    ReducedSelfAttention,
    attach_all,
    choose_attentions,
    no_grad,
    plain_maps,
)
from strategies.methods.tome import ToMe


def attach(sites: Sites, clock: Clock, knobs: ToMe, recorder: Recorder) -> Undo:
    """Merge along `knobs.ratio` until undone.

    Raises:
        StrategyError: the model has no self-attention over a grid, or attention processors that
            this method would mislead.
    """
    chosen = choose_attentions(sites, knobs.levels, knobs.method)
    plain_maps(chosen, clock, knobs.method)
    return attach_all([_Site(site, clock, recorder, knobs) for site in chosen])


class _Site(ReducedSelfAttention):
    ratio = 0.0

    def begin(self) -> None:
        self.ratio = self.knobs.ratio[self.clock.call]
        self.active = self.ratio > 0

    def attend(self, metric: Tensor, tokens: Tensor, attention: Forward) -> Tensor | None:
        source, destination = split_grid(*self.shape, self.knobs.stride, tokens.device)
        if len(destination) == 0:  # A grid narrower than one cell has nothing to merge into.
            return None
        count = min(int(tokens.shape[1] * self.ratio), len(source))
        merge = match(no_grad(metric), source, destination, count)
        return self.through(merge, tokens, attention)
