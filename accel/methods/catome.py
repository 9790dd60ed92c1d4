"""Cached Adaptive Token Merging (Saghatchian et al., arXiv 2501.00946).

All pairs of source and destination whose cosine reaches a threshold are merged (section III-A),
where ToMe merges a fixed number. The pairs found at a checkpoint are used until the next one
(section III-B).

Every row of the batch merges its own pairs, including the two halves of guidance, so no image
depends on another. Rows that keep different numbers of tokens attend one after the other. The
published code merges the largest number of the batch in all rows, and so below the threshold in
most. The number of pairs must be known before attention can run: at a checkpoint every attention
waits for the device once.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from accel.caching.cached_output import CachedOutput
from accel.call_records import Recorder
from accel.clock import Clock
from accel.compatibility.attention_processors import Trait
from accel.patching.layers import Forward
from accel.patching.replacing import Undo
from accel.sites import AttentionSite, Sites
from accel.tokens.merging import Reduction, rank, reduction, similarity, split_grid
from accel.tokens.reduced_attention import (
    ReducedSelfAttention,
    attach_all,
    choose_attentions,
    no_grad,
    plain_maps,
)
from strategies.methods.catome import CAToMe

Pairs = list[tuple[Tensor, Reduction]]  # Rows of the batch that merge equally many, and how.


def attach(sites: Sites, clock: Clock, knobs: CAToMe, recorder: Recorder) -> Undo:
    """Merge along `knobs.threshold` until undone.

    Raises:
        StrategyError: the model has no self-attention over a grid, or attention processors that
            this method would mislead.
    """
    chosen = choose_attentions(sites, knobs.levels, knobs.method)
    plain_maps(chosen, clock, knobs.method, Trait.ROWS)
    return attach_all([_Site(site, clock, recorder, knobs) for site in chosen])


class _Site(ReducedSelfAttention):
    threshold = 1.0

    def __init__(
        self, site: AttentionSite, clock: Clock, recorder: Recorder, knobs: CAToMe
    ) -> None:
        super().__init__(site, clock, recorder, knobs)
        self.pairs = CachedOutput(
            clock, recorder, knobs.computes, f"{site.name} pairs", batched=False
        )

    def begin(self) -> None:
        self.threshold = self.knobs.threshold[self.clock.call]
        self.active = self.threshold < 1

    def attend(self, metric: Tensor, tokens: Tensor, attention: Forward) -> Tensor | None:
        made_for = (tokens.shape[:2], self.shape)
        known, pairs = self.pairs.find(tokens) or (None, [])
        rows, half = len(tokens), self.clock.half
        if known is not None and half is not None and known[0][0] == 2 * rows:
            # The other half sits this call out.
            known = (tokens.shape[:2], known[1])
            pairs = of_rows(pairs, half * rows, rows)
        if known != made_for:
            pairs = self.find(no_grad(metric))
            self.pairs.offer((made_for, pairs))
        if not pairs:
            return None
        if len(pairs) == 1:
            return self.through(pairs[0][1], tokens, attention)
        output = torch.empty_like(tokens)
        kept = 0
        for images, chosen in pairs:
            part = self.through(chosen, tokens.index_select(0, images), attention)
            output.index_copy_(0, images, part.to(output.dtype))
            kept = max(kept, chosen.kept.shape[1])
        self.kept = (tokens.shape[1], kept)
        return output

    def find(self, metric: Tensor) -> Pairs:
        """Pairs of every row, from `[n, tokens, c]`; none if the grid has no cell."""
        source, destination = split_grid(*self.shape, self.knobs.stride, metric.device)
        if len(destination) == 0:
            return []
        best, target, order = rank(similarity(metric, source, destination))
        counts: dict[int, list[int]] = defaultdict(list)
        for image, count in enumerate((best >= self.threshold).sum(dim=-1).tolist()):
            counts[count].append(image)
        pairs = []
        for count, images in counts.items():
            index = torch.tensor(images, device=metric.device)
            sources, destinations = (t.expand(len(images), -1) for t in (source, destination))
            chosen = reduction(sources, destinations, target[index], order[index], count, True)
            pairs.append((index, chosen))
        return pairs


def of_rows(pairs: Pairs, first: int, count: int) -> Pairs:
    """Pairs of `count` rows of the batch, from row `first` on."""
    found = []
    for images, chosen in pairs:
        places = [i for i, row in enumerate(images.tolist()) if first <= row < first + count]
        if places:
            index = torch.tensor(places, device=images.device)
            merged, into = (None if t is None else t[index] for t in (chosen.merged, chosen.into))
            kept, back = chosen.kept[index], chosen.back[index]
            few = Reduction(kept, back, merged, into, chosen.destinations)
            found.append((images[index] - first, few))
    return found
