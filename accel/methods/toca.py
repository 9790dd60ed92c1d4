"""ToCa (Zou et al., "Token-wise Feature Caching", arXiv 2410.05317).

Between full calls attention outputs are reused, as in FORA, and feed-forwards are computed for a
share of their tokens. Each row of the batch chooses its own tokens. The others keep their last
output, taken before the gate. Tokens are chosen by score, staleness and a bonus for the best of
each 2 x 2 cell (section 3.3); ties are decided by position.

By default the score is the distance of the feed-forward's input from the input of its kept output,
which needs no attention map. With `attention` it is the attention that a token got at the last full
call, as in the paper. The text's own feed-forwards are reused. FLUX's single blocks project
attention and feed-forward together: there the projection of the chosen tokens is computed from
their last attention output. FLUX.2's single blocks are one module. The chosen tokens pass it, with
their last attention output in place of the attention among them.

The same image in another batch has the same scores up to float noise. If two tokens tie within that
noise, at the cut or for a cell's bonus, another one may be chosen, and the image differs slightly.
tests/accel/methods/test_toca_ties.py shows that choices differ nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from accel.caching.cached_output import CachedOutput, skip_unread_norms, with_cached_output
from accel.caching.guidance_halves import merged_rows
from accel.caching.shared_embedding import share_equal_embedders
from accel.caching.token_cache import TokenCache, average_token_caches, of_running
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.compatibility.attention_processors import Processors, Trait, of_parts
from accel.compatibility.chunked_feed_forward import ChunkedFeedForwardGuard
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all
from accel.sites import Sites, Sublayer
from accel.token_selection import TokenSelection
from accel.tokens.attention_map import AttentionRecorder
from accel.tokens.streams import stream_of
from accel.tokens.token_grid import TokenGrid, best_of_cells
from strategies import StrategyError
from strategies.methods.toca import ToCa


def attach(sites: Sites, clock: Clock, knobs: ToCa, recorder: Recorder) -> Undo:
    """Reuse and recompute along `knobs.ratio` until undone.

    Raises:
        StrategyError: the model is no transformer, feed-forwards run in chunks, or attention
            processors do not go with this.
    """
    stream = stream_of(sites, "toca")
    if not any("mlp" in part.kinds and not part.text for part in sites.parts):
        raise StrategyError(
            f"methods.toca finds no feed-forward of the image's tokens in the blocks of "
            f"{type(sites.denoiser).__name__}; take methods.toca out, methods.deltacache works"
        )
    ChunkedFeedForwardGuard(sites, clock, "toca", sites.parts)
    breaks = [Trait.KEEPS] + [Trait.SPLITS] * (knobs.score == "attention")
    Processors(clock, "toca", of_parts(sites.parts), breaks)
    grid = TokenGrid(sites, stream, clock)
    undos = [grid.attach()]
    last = max(part.block for part in sites.parts)
    watched = _watch(sites, knobs)
    places: list[tuple[Sublayer, CachedOutput]] = []
    for attention in watched.values():
        undos += attention.attach()
    for part in sites.parts:
        if "mlp" not in part.kinds or part.text:
            place = CachedOutput(clock, recorder, knobs.full, part.name, text=part.text)
            undos.append(replace_forward(part.module, with_cached_output(place)))
            places.append((part, place))
            continue
        slope = knobs.depth_slope * (2 * part.block / max(1, last) - 1)
        shares = [min(1.0, ratio * (1 + slope)) for ratio in knobs.ratio]
        rows = TokenwiseFeedForward(
            clock, recorder, knobs, part, shares, grid, watched.get(part.block)
        )
        undos += rows.attach()
    undos += skip_unread_norms(places, sites.parts) + share_equal_embedders(clock, sites.embedders)
    return lambda: undo_all(undos)


def _watch(sites: Sites, knobs: ToCa) -> dict[int, AttentionRecorder]:
    """Recorders of the first attention over image tokens by block, if scores come from its map."""
    watched: dict[int, AttentionRecorder] = {}
    if sites.stream is None or knobs.score != "attention":
        return watched
    blocks = {part.name.rpartition(".")[0]: part.block for part in sites.parts}
    for attention in sites.stream.attentions:
        watched.setdefault(blocks[attention.name.rpartition(".")[0]], AttentionRecorder(attention))
    return watched


class TokenwiseFeedForward(CallListener):
    """One feed-forward, computed for some of its tokens."""

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        knobs: ToCa,
        part: Sublayer,
        shares: list[float],
        grid: TokenGrid,
        watched: AttentionRecorder | None,
    ) -> None:
        self.clock, self.recorder, self.knobs, self.part = clock, recorder, knobs, part
        self.shares, self.grid, self.watched = shares, grid, watched
        self._store: dict[int, TokenCache] = {}
        self.clear()
        clock.listeners.append(self)

    def clear(self) -> None:
        self._store.clear()
        self._stored: TokenCache | None = None
        self._kept: TokenCache | None = None
        self._fresh: TokenCache | None = None
        self._chosen: TokenSelection | None = None
        self._input: Tensor | None = None
        self._attention: Tensor | None = None
        self._keep = False
        self._since, self._call = 0, -1
        if self.watched is not None:
            self.watched.clear()

    def begin(self) -> None:
        call = self.clock.call
        kept = self._store.pop(self.clock.guidance_pass, None)
        self._stored = kept
        kept = None if kept is None else of_running(kept, self.clock)
        self._kept = None if self.knobs.full(call) else kept
        self._keep = call + 1 < self.clock.calls and not self.knobs.full(call + 1)
        self._fresh = self._chosen = None
        if self._call != call:
            self._since = self._since + 1 if self._kept is not None else 0
            self._call = call

    def end(self, output: Tensor) -> None:
        if self._chosen is not None:
            self.recorder.now.tokens[self.part.name] = (self._chosen.total, self._chosen.kept)
        if self._keep and self._fresh is not None:
            whole = None if self._stored is None else self._stored.fields
            self._store[self.clock.guidance_pass] = TokenCache(
                *merged_rows(whole, self._fresh.fields, self.clock)
            )
        elif self._keep and self._input is None and self._stored is not None:
            self._store[self.clock.guidance_pass] = self._stored  # Its block did not run.
        self._stored = None
        self._kept = self._fresh = self._chosen = self._input = self._attention = None
        if self.watched is not None:
            self.watched.clear()

    def merge_guidance(self) -> None:
        self._store = average_token_caches(self._store, self.clock)

    def attach(self) -> list[Undo]:
        """Wrap the feed-forward, or in FLUX's single blocks its components."""
        if self.part.packed:
            module: Any = self.part.module
            return [
                replace_forward(module, self._packed),
                replace_forward(module.to_out, self._joined(module.inner_dim)),
            ]
        if not self.part.inside:
            return [replace_forward(self.part.module, self._whole)]
        attention, projection = self.part.inside
        return [
            replace_forward(projection, self._into),
            replace_forward(attention, self._attend),
            replace_forward(self.part.module, self._out_of),
        ]

    def _whole(self, original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            narrow = self._narrow(hidden_states)
            made = original(narrow, *args, **kwargs) if narrow.shape[1] else narrow
            return self._complete(made)

        return forward

    def _packed(self, original: Forward) -> Forward:
        def forward(hidden_states: Tensor, **kwargs: Any) -> Any:
            narrow = self._narrow(hidden_states)
            if self._chosen is None:
                made = original(hidden_states, **kwargs)
            else:  # What attention gives among the chosen is not read, so it needs no positions.
                apart = kwargs | {"image_rotary_emb": None}
                made = original(narrow, **apart) if narrow.shape[1] else narrow
            made = self._complete(made)
            if self._fresh is not None:
                reused = self._kept if self._chosen is not None else None
                kept = self._attention if reused is None else reused.attention
                self._fresh = replace(self._fresh, attention=kept)
            return made

        return forward

    def _joined(self, width: int) -> Callable[[Forward], Forward]:
        """Wrapper of the projection of attention output, its first `width` channels, and
        feed-forward.
        """

        def make(original: Forward) -> Forward:
            def forward(both: Tensor) -> Any:
                kept, chosen = self._kept, self._chosen
                if kept is None or chosen is None or kept.attention is None:
                    self._attention = both[..., :width].clone() if self._keep else None
                    return original(both)
                return original(torch.cat([chosen.take(kept.attention), both[..., width:]], -1))

            return forward

        return make

    def _into(self, original: Forward) -> Forward:
        return lambda hidden_states: original(self._narrow(hidden_states))

    def _attend(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            kept, chosen = self._kept, self._chosen
            if kept is None or chosen is None or kept.attention is None:
                self._attention = original(*args, **kwargs)
                return self._attention
            self._attention = kept.attention
            return chosen.take(kept.attention)

        return forward

    def _out_of(self, original: Forward) -> Forward:
        def forward(hidden_states: Tensor) -> Any:
            made = self._complete(original(hidden_states))
            if self._fresh is not None:
                self._fresh = replace(self._fresh, attention=self._attention)
            return made

        return forward

    def _narrow(self, hidden: Tensor) -> Tensor:
        """Tokens to compute; all if nothing of this shape is kept."""
        self._input, kept = hidden, self._kept
        if kept is None or kept.age.shape != hidden.shape[:2]:
            self._chosen = None
            return hidden
        count = int(self.shares[self.clock.call] * hidden.shape[1])
        order = self._scores(hidden, kept).argsort(dim=1, descending=True, stable=True)
        self._chosen = TokenSelection(order[:, :count].sort(dim=1).values, hidden.shape[1])
        return self._chosen.take(hidden)

    def _complete(self, made: Tensor) -> Tensor:
        """Outputs of all tokens; keeps the state that later calls need."""
        kept, chosen, hidden = self._kept, self._chosen, self._input
        assert hidden is not None
        if kept is None or chosen is None:
            if self._keep:
                age = torch.zeros(hidden.shape[:2], device=hidden.device)
                self._fresh = TokenCache(made, self._basis(hidden), age)
            return made
        output = chosen.put(kept.output, made)
        if self._keep:
            basis = kept.basis
            if self.watched is None:
                basis = chosen.put(basis, chosen.take(hidden))
            age = (kept.age + 1).scatter(1, chosen.index, 0.0)
            self._fresh = TokenCache(output, basis, age)
        return output

    def _basis(self, hidden: Tensor) -> Tensor:
        if self.watched is None:
            return hidden
        return self.watched.received(math.prod(self.grid.shape))

    def _scores(self, hidden: Tensor, kept: TokenCache) -> Tensor:
        """Score of each token `[rows, tokens]`: section 3.3 with the terms that need no prompt."""
        if self.watched is None:
            moved = torch.linalg.vector_norm((hidden - kept.basis).float(), dim=-1)
        else:
            moved = functional.pad(kept.basis, (hidden.shape[1] - kept.basis.shape[1], 0))
        score: Tensor = moved / torch.linalg.vector_norm(moved, dim=1, keepdim=True).clamp(
            min=1e-12
        )
        score = score + self.knobs.staleness * (kept.age + 1) / max(1, self._since)
        if not self.knobs.cell_bonus:
            return score
        text = score.shape[1] - math.prod(self.grid.shape)
        best = functional.pad(best_of_cells(score[:, text:], self.grid.shape), (text, 0))
        return score + self.knobs.cell_bonus * score * best
