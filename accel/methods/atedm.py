"""AT-EDM's token choice (Wang et al., CVPR 2024, arXiv 2405.05252) under CAT Pruning's reuse.

The baseline of CAT Pruning (arXiv 2502.00433, section 3.1): tokens are ranked by the Generalized
Weighted PageRank of a self-attention map, the best ones run, and everything else is reused as in
`accel.partial`, where AT-EDM itself copies from similar tokens. No code of that baseline was
published; here the map is that of the network's last attention at the call before, averaged over
heads, of image tokens among themselves, of the half of guidance that has the prompt. Queries and
keys of tokens that did not run are their last ones. The map is never kept, but it has to be
computed, which fused attention kernels avoid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accel.clock import Clock
from accel.partial import PartialRun
from accel.patching import Forward, Undo, replace_forward, undo_all
from accel.records import Recorder
from accel.rotary import Tables, turned
from accel.sites import Sites
from strategies.methods.atedm import ATEDM

ITERATIONS = 10  # Of the power method; attention maps mix within a few.


def attach(sites: Sites, clock: Clock, knobs: ATEDM, recorder: Recorder) -> Undo:
    """Select tokens until undone.

    Raises:
        StrategyError: the model is no transformer of a supported family.
    """
    run = Attended(sites, clock, knobs.shares(), recorder, "atedm")
    undos = [run.attach()]
    module: Any = run.stream.attentions[-1].module
    undos.append(replace_forward(module, run.see_positions))
    for name in ("to_q", "to_k"):
        undos.append(replace_forward(getattr(module, name), run.see(name)))
    return lambda: undo_all(undos)


class Attended(PartialRun):
    """Ranks tokens by how much attention they get from tokens that get attention."""

    def clear(self) -> None:
        super().clear()
        self._seen: dict[str, dict[int, Tensor]] = {"to_q": {}, "to_k": {}}
        self._tables: Tables | None = None

    def fold(self) -> None:
        super().fold()
        for name, seen in self._seen.items():
            self._seen[name] = self.folded(seen)

    def choose(self, noise: Tensor, count: int) -> Tensor | None:
        if count == self.total or not self._seen["to_k"]:
            return None
        attention: Any = self.stream.attentions[-1].module
        query = self._heads(attention, "to_q", attention.norm_q)
        key = self._heads(attention, "to_k", attention.norm_k)
        rank = importance(query, key).argsort(dim=1, descending=True, stable=True)
        return rank[:, :count].sort(dim=1).values

    def _heads(self, attention: Any, name: str, norm: Any) -> Tensor:
        """Queries or keys of the image's tokens `[images, tokens, heads, d]`, ready to compare."""
        found: Tensor = self.conditional(self._seen[name]).unflatten(-1, (attention.heads, -1))
        if norm is not None:
            found = norm(found)
        if self._tables is not None:
            cos, sin = (table[None, -self.total :] for table in self._tables)
            found = turned(found, cos, sin)
        return found

    def see_positions(self, original: Forward) -> Forward:
        """Wrap the attention: keep its table of positions."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            self._tables = kwargs.get("image_rotary_emb")
            return original(*args, **kwargs)

        return forward

    def see(self, name: str) -> Callable[[Forward], Forward]:
        """Wrap a projection: keep its rows of image tokens."""

        def make(original: Forward) -> Forward:
            def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                made: Tensor = original(hidden_states, *args, **kwargs)
                if self.keep_noise or self.clock.reuses:
                    seen, branch = self._seen[name], self.clock.branch
                    chosen = self.clock.selection if name == "to_q" else None
                    if chosen is None:
                        seen[branch] = made[:, -self.total :]
                    else:
                        seen[branch] = chosen.put(seen[branch], made[:, -chosen.kept :])
                return made

            return forward

        return make


def importance(query: Tensor, key: Tensor) -> Tensor:
    """Generalized Weighted PageRank of a self-attention map, `[images, tokens]`.

    Algorithm 1 of AT-EDM with as many queries as keys: the scores, equal at first, are handed on
    along the map, row by row, and brought back to sum 1.

    Args:
        query, key: `[images, tokens, heads, d]`.
    """
    heads, width = query.shape[2:]
    weights = torch.zeros(*query.shape[:2], key.shape[1], device=query.device)
    for head in range(heads):
        scores = query[:, :, head].float() @ key[:, :, head].float().transpose(1, 2)
        weights += (scores * width**-0.5).softmax(-1) / heads
    score = torch.full_like(weights[:, :1], 1 / key.shape[1])
    for _ in range(ITERATIONS):
        score = score @ weights
        score = score / score.sum(-1, keepdim=True)
    return score[:, 0]
