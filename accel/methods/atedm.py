"""Token choice of AT-EDM (Wang et al., CVPR 2024, arXiv 2405.05252) with CAT Pruning's reuse.

This is the baseline of CAT Pruning (arXiv 2502.00433, section 3.1). Tokens are ranked by the
Generalized Weighted PageRank of a self-attention map, and the best ones run. Everything else is
reused as in `accel.tokens.partial_forward`; AT-EDM itself copies from similar tokens.

No code of that baseline was published. Here the map is that of the network's last attention at the
call before, averaged over heads, among image tokens, of the half of guidance that has the prompt.
Queries and keys of tokens that did not run are their last ones. The map is never kept, but it has
to be computed, which fused attention kernels avoid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from accel.caching.guidance_halves import merged_rows, select_active_rows
from accel.call_records import Recorder
from accel.clock import Clock
from accel.patching.replacing import Undo, undo_all
from accel.sites import Sites
from accel.tokens.attention_map import AttentionRecorder, mean_map
from accel.tokens.partial_forward import PartialForward
from strategies.methods.atedm import ATEDM

ITERATIONS = 10  # Rounds of the power method; attention maps mix within a few.


def attach(sites: Sites, clock: Clock, knobs: ATEDM, recorder: Recorder) -> Undo:
    """Select tokens until undone.

    Raises:
        StrategyError: the model is no transformer of a supported family.
    """
    return AttentionRankSelection(sites, clock, knobs, recorder).attach()


class AttentionRankSelection(PartialForward):
    """Ranking of tokens by the attention that they get from tokens that get attention."""

    def __init__(self, sites: Sites, clock: Clock, knobs: ATEDM, recorder: Recorder) -> None:
        super().__init__(sites, clock, knobs.shares(), recorder, "atedm")
        self._watched = AttentionRecorder(self.stream.attentions[-1])
        self.forget()

    def attach(self) -> Undo:
        undos = [super().attach()]
        undos += self._watched.attach()
        return lambda: undo_all(undos)

    def forget(self) -> None:
        self._seen: dict[str, dict[int, Tensor]] = {"to_q": {}, "to_k": {}}
        self._watched.clear()

    def merge_guidance(self) -> None:
        super().merge_guidance()
        for name, seen in self._seen.items():
            self._seen[name] = self.folded(seen)

    def end(self, output: Tensor) -> None:
        branch, chosen = self.clock.guidance_pass, self.clock.selection
        if self.ahead and (self.keep_noise or self.clock.reuses):
            for name, made in self._watched.projected.items():
                seen = self._seen[name]
                whole = seen.get(branch)
                if name == "to_q" and chosen is not None and whole is not None:
                    fresh = chosen.put(
                        select_active_rows(whole, self.clock), made[:, -chosen.kept :]
                    )
                else:
                    fresh = made[:, -self.total :]
                seen[branch] = merged_rows(whole, fresh, self.clock)
        self._watched.projected.clear()
        super().end(output)

    def choose(self, noise: Tensor, count: int) -> Tensor | None:
        if count == self.total or not self._seen["to_k"]:
            return None
        query, key = (self._heads(name) for name in ("to_q", "to_k"))
        rank = token_importance(query, key).argsort(dim=1, descending=True, stable=True)
        return rank[:, :count].sort(dim=1).values

    def _heads(self, name: str) -> Tensor:
        """Queries or keys of the image's tokens `[images, tokens, heads, d]`, ready to compare."""
        return self._watched.heads(name, self.conditional(self._seen[name]), self.total)


def token_importance(query: Tensor, key: Tensor) -> Tensor:
    """Generalized Weighted PageRank of a self-attention map, `[images, tokens]`.

    This is algorithm 1 of AT-EDM with as many queries as keys. The scores are equal at first. Each
    round multiplies them by the map and normalises them to sum 1.

    Args:
        query, key: `[images, tokens, heads, d]`.
    """
    weights = mean_map(query, key)
    score = torch.full_like(weights[:, :1], 1 / key.shape[1])
    for _ in range(ITERATIONS):
        score = score @ weights
        score = score / score.sum(-1, keepdim=True)
    return score[:, 0]
