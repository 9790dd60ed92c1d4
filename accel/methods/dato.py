"""Dynamics-aware token pruning of DaTo ("Token Pruning for Caching Better", section 3.2).

Each patch of the token grid keeps one base token: the one whose prediction changed most between the
last two calls (DiffScore, equations 6 and 7). The tokens most similar to a base token are left out
of self-attention (equation 9), and then copy the output of that base token (3.2.3).

DiffScore is taken from the network's predictions, averaged over their channels and pooled to the
grid of each attention. A call that repeats the prediction (depth 0) changes nothing, so the last
score is kept. Before there are two predictions, base tokens are drawn at random from the strategy's
seed, the same ones in every row. With `align_cfg` the base tokens of the conditional half serve the
unconditional one too (equation 8 with diffusers' order, unconditional rows first). If guidance
takes two passes, the score of the last pass serves both.

Similarity is computed between base tokens and the others only. The published code computes it
between all tokens, adds noise to the score, recovers from any kept token, and prunes 40 % whatever
the strategy says. `noise` and `recover` bring the first two of these choices back.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from accel.caching.guidance_halves import merged_rows, select_active_rows
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, untraced
from accel.sites import AttentionSite, Sites
from accel.tokens.merging import (
    Reduction,
    cell_origins,
    in_cell,
    outside_cells,
    rank,
    reduction,
    similarity,
)
from accel.tokens.reduced_attention import (
    ReducedSelfAttention,
    attach_all,
    choose_attentions,
    no_grad,
    plain_maps,
)
from strategies.methods.dato import DaTo


def attach(sites: Sites, clock: Clock, knobs: DaTo, recorder: Recorder) -> Undo:
    """Prune along `knobs.ratio` until undone.

    Raises:
        StrategyError: the model has no self-attention over a grid, or attention processors that
            this method would mislead.
    """
    chosen = choose_attentions(sites, knobs.levels, knobs.method)
    plain_maps(chosen, clock, knobs.method)
    dynamics = Dynamics(clock, recorder, knobs)
    return attach_all([_Site(site, clock, recorder, knobs, dynamics) for site in chosen])


class Dynamics(CallListener):
    """DiffScore, and the base tokens that it gives on every grid."""

    def __init__(self, clock: Clock, recorder: Recorder, knobs: DaTo) -> None:
        self.clock, self.recorder, self.knobs = clock, recorder, knobs
        self._last: dict[int, Tensor] = {}
        self._scores: dict[int, Tensor] = {}
        self._found: dict[tuple[int, int], Tensor] = {}
        clock.listeners.append(self)

    def clear(self) -> None:
        self._last.clear()
        self._scores.clear()
        self._found.clear()

    def begin(self) -> None:
        self._found.clear()

    def end(self, output: Tensor) -> None:
        clock, branch = self.clock, self.clock.guidance_pass
        self._found.clear()
        if not any(self.knobs.ratio[clock.call + 1 :]):
            self._last.pop(branch, None)
            self._scores.pop(branch, None)
        elif self.recorder.now.depth != 0 and self.knobs.diff_score:
            whole, scores = self._last.get(branch), self._scores.get(branch)
            before = None if whole is None else select_active_rows(whole, clock, len(output))
            if before is not None and before.shape == output.shape:
                self._scores[branch] = merged_rows(scores, diff_score(output, before), clock)
            self._last[branch] = merged_rows(whole, output.detach(), clock)

    @untraced
    def base(self, height: int, width: int) -> Tensor:
        """Base token of each patch, counted row by row within the patch: `[rows, patches]`."""
        key = (height, width)
        if key not in self._found:
            self._found[key] = base_tokens(self._score(height, width), self.knobs.patch)
        return self._found[key]

    def _score(self, height: int, width: int) -> Tensor:
        """DiffScore on a grid: `[rows, h, w]`, one row per row of the denoiser's batch."""
        clock, knobs = self.clock, self.knobs
        apart = clock.parts > 1 and knobs.align_cfg
        score = self._scores.get(clock.parts - 1 if apart else clock.guidance_pass)
        if score is not None and len(score) != clock.rows:
            # Guidance came or went on the way, or one half has run alone so far.
            alone = knobs.align_cfg and clock.batched_guidance and clock.conditional == 1
            score = score.repeat(2, 1, 1) if alone and 2 * len(score) == clock.rows else None
        noise = None
        if score is None or knobs.noise:
            draws = torch.Generator().manual_seed(knobs.seed * 100_003 + clock.call)
            noise = torch.randn(1, height, width, generator=draws)
            noise = noise.to(clock.device, non_blocking=True)
        if score is None:
            assert noise is not None
            return noise.expand(clock.rows, -1, -1)
        if score.shape[-2:] != (height, width):
            score = functional.adaptive_avg_pool2d(score, (height, width))
        if noise is not None:
            score = score + knobs.noise * noise
        if knobs.align_cfg and clock.batched_guidance:
            score = score[clock.rows // 2 :].repeat(2, 1, 1)
        return score


def diff_score(prediction: Tensor, before: Tensor) -> Tensor:
    """Equation 6: mean change over the channels, from two tensors `[n, c, h, w]` to `[n, h, w]`."""
    return (prediction - before).detach().abs().mean(dim=1)


def base_tokens(score: Tensor, patch: int) -> Tensor:
    """Equation 7: position of the highest score in each patch, from `[n, h, w]` to `[n, patches]`.

    Patches and positions within them are counted row by row. Tokens beyond the complete patches of
    a grid have no base token.
    """
    images, height, width = score.shape
    down, across = height // patch, width // patch
    inside = score[:, : down * patch, : across * patch]
    cells = inside.reshape(images, down, patch, across, patch).transpose(2, 3)
    return cells.reshape(images, down * across, patch * patch).argmax(dim=-1)


def split_tokens(base: Tensor, height: int, width: int, patch: int) -> tuple[Tensor, Tensor]:
    """Token indices of the base tokens and of all others.

    Args:
        base: result of `base_tokens`, `[n, patches]`.
        height, width: size of the grid.
        patch: side of a patch.

    Returns:
        `[n, patches]` and `[n, tokens - patches]`.
    """
    origin = cell_origins(height, width, patch, base.device)
    chosen = origin + in_cell(base, patch, width)
    places = torch.arange(patch * patch - 1, device=base.device)
    places = places + (places >= base.unsqueeze(-1))
    others = (origin.unsqueeze(-1) + in_cell(places, patch, width)).flatten(1)
    outside = outside_cells(height, width, patch, base.device).expand(len(base), -1)
    return chosen, torch.cat([others, outside], dim=1)


def prune(metric: Tensor, base: Tensor, others: Tensor, count: int, recover: str) -> Reduction:
    """Equation 9: leave out the `count` tokens that are most similar to a base token.

    Args:
        metric: `[n, tokens, c]`, compared by cosine.
        base, others: result of `split_tokens`.
        count: number of tokens to leave out, at most all others.
        recover: "base", or "kept" for the most similar of all tokens that stay.
    """
    _, target, order = rank(similarity(metric, others, base))
    chosen = reduction(others, base, target, order, count, merge=False)
    if recover == "base":
        return chosen
    pruned = others.gather(1, order[:, :count])
    nearest = similarity(metric, pruned, chosen.kept).argmax(dim=-1)
    return Reduction(chosen.kept, chosen.back.scatter(1, pruned, nearest))


class _Site(ReducedSelfAttention):
    ratio = 0.0

    def __init__(
        self,
        site: AttentionSite,
        clock: Clock,
        recorder: Recorder,
        knobs: DaTo,
        dynamics: Dynamics,
    ) -> None:
        super().__init__(site, clock, recorder, knobs)
        self.dynamics = dynamics
        self.base: Tensor | None = None
        self.base_of = (0, 0)

    def begin(self) -> None:
        self.ratio = self.knobs.ratio[self.clock.call]
        self.active, self.base = self.ratio > 0, None
        height, width = self.clock.size
        for _ in range(self.site.halvings):
            height, width = (height + 1) // 2, (width + 1) // 2
        self.base_of = (height, width)
        # Chosen before the network runs, so that compiled code need not stop for it.
        if self.active and min(self.base_of) >= self.knobs.patch:
            self.base = self.dynamics.base(*self.base_of)

    def end(self, output: Tensor) -> None:
        super().end(output)
        self.base = None

    def clear(self) -> None:
        super().clear()
        self.base = None

    def attend(self, metric: Tensor, tokens: Tensor, attention: Forward) -> Tensor | None:
        (height, width), patch = self.shape, self.knobs.patch
        if min(height, width) < patch:  # A grid narrower than one patch has no base token.
            return None
        whole = self.base
        if whole is None or self.base_of != self.shape:
            whole = self.dynamics.base(height, width)
        base = select_active_rows(whole, self.clock, len(tokens))
        if base is None:  # T-GATE runs the first half of the batch.
            base = whole[: len(tokens)]
        chosen, others = split_tokens(base, height, width, patch)
        count = min(int(tokens.shape[1] * self.ratio), others.shape[1])
        pruning = prune(no_grad(metric), chosen, others, count, self.knobs.recover)
        return self.through(pruning, tokens, attention)
