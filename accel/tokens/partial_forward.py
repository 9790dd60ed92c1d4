"""Forward pass of only some of an image's tokens, shared by CAT Pruning and AT-EDM.

At a partial call the selected tokens alone go through the transformer, from the embedding to the
projection. They still attend to every token: the other tokens' keys and values are those of the
last call at which these ran, and so is their predicted noise (CAT Pruning, arXiv 2502.00433,
Algorithm 1 and section 2.1). Nothing else of a left-out token is ever read. Its norms, modulations
and residuals therefore need not run, and its attention and feed-forward outputs need not be kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from accel.caching.guidance_end import average_guidance
from accel.caching.guidance_halves import merged_rows, select_active_rows
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.compatibility.attention_processors import Processors, Trait
from accel.compatibility.fused_attention import is_fused
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all, untraced
from accel.pipelines.guidance_errors import UNORDERED
from accel.sites import Grid, Sites, TokenAttention, TokenStream
from accel.token_selection import TokenSelection
from accel.tokens.kept_rows import KeyValueRows
from accel.tokens.masks import narrowed_masks
from accel.tokens.packed_attention import PackedAttention
from accel.tokens.rotary import RotaryQueries
from accel.tokens.streams import stream_of
from strategies import StrategyError


class PartialForward(CallListener):
    """The stream of tokens, reduced at some calls.

    Attributes:
        lead: number of calls before the first partial one whose predictions `choose` needs.
        total, grid: number of the image's tokens, and their rows and columns.
        ahead: whether a later call runs on a selection.
        keep_noise: whether a later choice needs this call's prediction.

    Args:
        sites: sites of a transformer.
        clock: the sampler's clock.
        shares: share of the image's tokens that run at each call, 1 for all.
        recorder: the sampler's recorder.
        method: name of the method, for messages.

    Raises:
        StrategyError: the model is no transformer, or its attentions have fused projections or
            processors that do not fit.
    """

    lead: ClassVar[int] = 1

    def __init__(
        self, sites: Sites, clock: Clock, shares: Sequence[float], recorder: Recorder, method: str
    ) -> None:
        self.stream: TokenStream = stream_of(sites, method)
        self.sites, self.clock, self.shares, self.recorder = sites, clock, shares, recorder
        self.method = method
        modules = {one.name: one.module for one in self.stream.attentions}
        Processors(clock, method, modules, [Trait.KEEPS, Trait.SPLITS])
        partial = [call for call in range(clock.calls) if self.planned(call)]
        self._first, self._last = (partial or [clock.calls])[0], (partial or [0])[-1]
        clock.runs_token_subset = self.planned
        clock.asks = clock.asks or not sites.ordered  # Choices need the half that has the prompt.
        self._rows: list[KeyValueRows] = []
        clock.listeners.append(self)
        self._reset()

    @abstractmethod
    def choose(self, noise: Tensor, count: int) -> Tensor | None:
        """Tokens that run next, `[images, count]` without repetition, or None for all.

        Called before every call from the second on.

        Args:
            noise: prediction for each token at the call before `[images, tokens, d]`, of the half
                of guidance that has the prompt.
            count: number of tokens; all if the call runs in full.
        """

    def planned(self, call: int) -> bool:
        """Whether a call is planned to run on some tokens only."""
        return call < len(self.shares) and self.shares[call] < 1

    def count(self, call: int) -> int:
        """Number of tokens that a call runs: its share, rounded down, but at least one."""
        return max(1, int(self.shares[call] * self.total + 1e-6))

    def forget(self) -> None:
        """Drop the state that selections need, since no later call runs on one."""

    def clear(self) -> None:
        self._reset()
        self.forget()

    def _reset(self) -> None:
        self.clock.selection = None
        self.total = 0
        self.grid: Grid = ()
        self._call = -1
        self._keep = self.keep_noise = self.ahead = False
        self._chosen: Tensor | None = None
        self._before: dict[int, Tensor] = {}
        self._now: dict[int, Tensor] = {}
        self._kept: dict[int, list[Tensor | None]] = {}  # Kept tensors by pass, like `_rows`.
        self._clear_pass()

    def _clear_pass(self) -> None:
        self._held: Tensor | None = None  # Kept tensor of all rows.
        self._wholes: list[Tensor | None] = []
        self._base: Tensor | None = None
        self._predicted: Tensor | None = None
        for rows in self._rows:
            rows.before = rows.after = None

    def begin(self) -> None:
        clock = self.clock
        clock.selection = None
        if self._call != clock.call:
            self._call = clock.call
            # A pass that was left out at the last call still has its own kept tensors.
            parts = clock.parts if clock.call <= self._last else 0  # Later calls run in full.
            left = {b: value for b, value in self._before.items() if b < parts}
            self._before, self._now = left | self._now, {}
            self._chosen = None
            self._kept = {b: kept for b, kept in self._kept.items() if b < parts}
            if self._before and clock.images is not None:
                noise = self.conditional(self._before)
                count = self.count(clock.call)
                self._chosen = self.choose(self.stream.noise(noise), count)
        self._clear_pass()
        self._held = self._before.pop(clock.guidance_pass, None)
        base = None if self._held is None else select_active_rows(self._held, clock)
        self._wholes = kept = self._kept.pop(clock.guidance_pass, [])
        if self._chosen is not None and base is not None:
            times = clock.active_rows // len(self._chosen)
            clock.selection = TokenSelection(self._chosen.repeat(times, 1), self.total)
            self._base = base
        for rows, before in zip(self._rows, kept, strict=False):
            rows.before = None if before is None else select_active_rows(before, clock)
        self.ahead = clock.call < self._last
        self._keep = self.planned(clock.call + 1) or (clock.reuses and self.ahead)
        self.keep_noise = self._first - self.lead <= clock.call and self.ahead

    def end(self, output: Tensor) -> None:
        clock = self.clock
        if clock.selection is not None and self._predicted is not None:
            self.recorder.now.tokens["image"] = (self.total, clock.selection.kept)
        if self.keep_noise and self._predicted is not None:
            self._now[clock.guidance_pass] = merged_rows(self._held, self._predicted, clock)
        elif self.keep_noise and self._held is not None:  # Nothing ran.
            self._now[clock.guidance_pass] = self._held
        if self._keep:
            wholes = self._wholes or [None] * len(self._rows)
            self._kept[clock.guidance_pass] = [
                whole if rows.after is None else merged_rows(whole, rows.after, clock)
                for whole, rows in zip(wholes, self._rows, strict=True)
            ]
        if not self.ahead:
            self.forget()
        self._clear_pass()
        clock.selection = None

    def merge_guidance(self) -> None:
        self._now = self.folded(self._now)
        places = []
        for i in range(len(self._rows)):
            passes = {branch: kept[i] for branch, kept in self._kept.items()}
            places.append(self.folded({b: v for b, v in passes.items() if v is not None}))
        branches = {branch for place in places for branch in place}
        self._kept = {branch: [place.get(branch) for place in places] for branch in branches}

    def folded(self, passes: dict[int, Tensor]) -> dict[int, Tensor]:
        """Tensors by pass, averaged over guidance."""
        histories = {branch: [(self.clock.call, value)] for branch, value in passes.items()}
        return {b: h[-1][1] for b, h in average_guidance(histories, self.clock).items()}

    def conditional(self, passes: dict[int, Tensor]) -> Tensor:
        """Rows that have the prompt, `[images, ...]`, from one tensor `[rows, ...]` per pass."""
        clock = self.clock
        images = clock.images or 0
        doubled = 0 in passes and len(passes[0]) == 2 * images  # Whatever other passes there are.
        if not self.sites.ordered and clock.guiding is None and (doubled or len(passes) > 1):
            network = type(self.sites.denoiser).__name__
            raise StrategyError(UNORDERED.format(method=self.method, network=network))
        if doubled:
            return passes[0].chunk(2)[clock.conditional]
        found = passes.get(clock.conditional)
        return (passes[0] if found is None else found)[:images]

    def attach(self) -> Undo:
        """Reduce the stream until undone."""
        stream = self.stream
        undos: list[Undo] = []
        try:
            undos.append(replace_forward(self.sites.denoiser, self._whole, traced=False))
            undos.append(replace_forward(stream.embed, self._enter))
            undos.append(replace_forward(stream.project, self._leave))
            for attention in stream.attentions:
                undos += self._attach_attention(attention)
        except BaseException:
            undo_all(undos)
            raise
        return lambda: undo_all(undos)

    def _attach_attention(self, attention: TokenAttention) -> list[Undo]:
        module: Any = attention.module
        if attention.packed:
            packed = PackedAttention(self.clock, module, self._place(), lambda: self._keep)
            return packed.attach()
        if is_fused(module):
            raise StrategyError(
                f"methods.{self.method} keeps keys and values apart, but {attention.name} has them "
                "fused; call unfuse_qkv_projections() on the pipeline before applying the strategy"
            )
        undos = [
            replace_forward(module.to_k, self._complete(self._place())),
            replace_forward(module.to_v, self._complete(self._place())),
        ]
        if attention.rotary:
            undos += RotaryQueries(self.clock, attention).attach()
        return [*undos, replace_forward(module, narrowed_masks(self.clock))]

    def _place(self) -> KeyValueRows:
        self._rows.append(KeyValueRows())
        return self._rows[-1]

    def _whole(self, original: Forward) -> Forward:
        """Wrapper of the denoiser that reduces tensors which are added to tokens, like these."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            return original(*args, **self._prepared(args, kwargs))

        return forward

    @untraced
    def _prepared(self, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        if not self.grid:
            given = dict(zip(self.sites.inputs, args, strict=False)) | kwargs
            self.grid = self.stream.grid(given)
        chosen = self.clock.selection
        if chosen is None:
            return kwargs
        added = [name for name in self.stream.beside if kwargs.get(name) is not None]
        return kwargs | {name: [chosen.take(one) for one in kwargs[name]] for name in added}

    def _enter(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            made: Tensor = original(*args, **kwargs)
            chosen = self.clock.selection
            if made.ndim == 3:
                self.total = made.shape[1]
                return made if chosen is None else chosen.take(made)
            tokens = made.flatten(2).transpose(1, 2)  # Of a feature map.
            self.total = tokens.shape[1]
            if chosen is None:
                return made
            return chosen.take(tokens).transpose(1, 2)[..., None, None]

        return forward

    def _leave(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            predicted: Tensor = original(*args, **kwargs)
            chosen = self.clock.selection
            if chosen is not None and self._base is not None:
                predicted = chosen.put(self._base, predicted)
            self._predicted = predicted
            return predicted

        return forward

    def _complete(self, rows: KeyValueRows) -> Callable[[Forward], Forward]:
        """Wrapper of a projection that returns keys or values of all tokens from those that run."""

        def make(original: Forward) -> Forward:
            def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                made: Tensor = original(hidden_states, *args, **kwargs)
                chosen = self.clock.selection
                if chosen is not None and rows.before is not None:
                    made = chosen.put(rows.before, made)
                if self._keep:
                    rows.after = made
                return made

            return forward

        return make
