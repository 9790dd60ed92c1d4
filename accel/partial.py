"""Denoising only some of an image's tokens: what CAT Pruning and AT-EDM have in common.

At a partial call the selected tokens alone go through the transformer, from the embedding to the
projection. They still attend to every token: keys and values of the others are those of the last
call at which these ran, and so is their predicted noise (CAT Pruning, arXiv 2502.00433, Algorithm 1
and section 2.1). Nothing else of a token that is left out is ever read, so norms, modulations and
residuals of it need not run either, and its attention and feed-forward outputs need not be kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from accel.clock import Clock, Listener
from accel.history import fold
from accel.patching import Forward, Undo, replace_forward, undo_all
from accel.records import Recorder
from accel.rotary import Rotary
from accel.selection import Selection
from accel.sites import Sites, TokenAttention, TokenStream
from strategies import StrategyError


class PartialRun(Listener):
    """The stream of tokens, narrowed at some calls.

    Attributes:
        lead: how many calls before the first partial one have predictions that `choose` wants.
        total, grid: how many tokens the image has, and their rows and columns.

    Args:
        sites: of a transformer.
        clock: of the sampler.
        shares: per call, how many of the image's tokens run, 1 for all.
        recorder: of the sampler.
        method: its name, for messages.

    Raises:
        StrategyError: the model is no transformer, or its attentions have fused projections.
    """

    lead: ClassVar[int] = 1

    def __init__(
        self, sites: Sites, clock: Clock, shares: Sequence[float], recorder: Recorder, method: str
    ) -> None:
        if sites.stream is None:
            raise StrategyError(f"methods.{method} needs a transformer; this model is none")
        self.stream: TokenStream = sites.stream
        self.sites, self.clock, self.shares, self.recorder = sites, clock, shares, recorder
        self.method = method
        self._partial = [call for call in range(clock.calls) if self.planned(call)]
        clock.partial = self.planned
        clock.listeners.append(self)
        self.clear()

    @abstractmethod
    def choose(self, noise: Tensor, count: int) -> Tensor | None:
        """The tokens that run next, `[images, count]` without repetition, or None for all.

        Asked before every call from the second on.

        Args:
            noise: what was predicted for each token at the call before `[images, tokens, d]`, of
                the half of guidance that has the prompt.
            count: how many; all tokens where the call runs in full.
        """

    def planned(self, call: int) -> bool:
        """Whether a call is to run on some tokens only."""
        return call < len(self.shares) and self.shares[call] < 1

    def clear(self) -> None:
        self.clock.selection = None
        self.total, self.grid = 0, (0, 0)
        self._keep = self.keep_noise = False
        self._chosen: Tensor | None = None
        self._before: dict[int, Tensor] = {}
        self._now: dict[int, Tensor] = {}
        self._kept: dict[tuple[str, int], Tensor] = {}

    def begin(self) -> None:
        clock = self.clock
        clock.selection = None
        if clock.branch == 0:
            self._before, self._now = self._now, {}
            self._chosen = None
            if self._before and clock.images is not None:
                noise = self.conditional(self._before)
                count = max(1, int(self.shares[clock.call] * self.total))
                self._chosen = self.choose(self.stream.noise(noise), count)
        base = self._before.get(clock.branch)
        if self._chosen is not None and base is not None and len(base) == clock.running:
            times = clock.running // len(self._chosen)
            clock.selection = Selection(self._chosen.repeat(times, 1), self.total)
        first, last = (self._partial or [clock.calls])[0], (self._partial or [0])[-1]
        self._keep = self.planned(clock.call + 1) or (clock.reuses and clock.call < last)
        self.keep_noise = first - self.lead <= clock.call < last

    def end(self, output: Tensor) -> None:
        clock = self.clock
        if clock.selection is not None:
            self.recorder.now.tokens["image"] = (self.total, clock.selection.kept)
        if not self._keep:
            self._kept = {key: v for key, v in self._kept.items() if key[1] != clock.branch}
        clock.selection = None

    def fold(self) -> None:
        self._now = self.folded(self._now)
        names = {name for name, _ in self._kept}
        passes = {n: {b: v for (m, b), v in self._kept.items() if m == n} for n in names}
        self._kept = {(n, b): v for n in names for b, v in self.folded(passes[n]).items()}

    def folded(self, passes: dict[int, Tensor]) -> dict[int, Tensor]:
        """Tensors by pass, averaged over guidance."""
        histories = {branch: [(self.clock.call, value)] for branch, value in passes.items()}
        return {b: h[-1][1] for b, h in fold(histories, self.clock.halves).items()}

    def conditional(self, passes: dict[int, Tensor]) -> Tensor:
        """Of a tensor per pass `[rows, ...]`, the rows that have the prompt, `[images, ...]`."""
        images = self.clock.images or 0
        whole = passes.get(self.stream.conditional, passes[0])
        if len(passes) == 1 and len(whole) == 2 * images:
            return whole.chunk(2)[self.stream.conditional]
        return whole[:images]

    def attach(self) -> Undo:
        """Narrow the stream until undone."""
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
        if getattr(module, "fused_projections", False):
            raise StrategyError(
                f"methods.{self.method} keeps keys and values apart, but {attention.name} has them "
                "fused; call unfuse_qkv_projections() on the pipeline before applying the strategy"
            )
        undos = [
            replace_forward(module.to_k, self._complete(f"{attention.name}.to_k")),
            replace_forward(module.to_v, self._complete(f"{attention.name}.to_v")),
        ]
        if attention.rotary:
            undos += Rotary(self.clock).attach(module)
        return undos

    def _whole(self, original: Forward) -> Forward:
        """The denoiser: what is added to tokens on their way is narrowed with them."""
        names = self.sites.inputs

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.grid == (0, 0):
                self.grid = self.stream.grid(dict(zip(names, args, strict=False)) | kwargs)
            chosen = self.clock.selection
            for name in self.stream.beside if chosen is not None else ():
                added = kwargs.get(name)
                if added is not None and chosen is not None:
                    kwargs[name] = [chosen.take(one) for one in added]
            return original(*args, **kwargs)

        return forward

    def _enter(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            tokens: Tensor = original(*args, **kwargs)
            self.total = tokens.shape[1]
            chosen = self.clock.selection
            return tokens if chosen is None else chosen.take(tokens)

        return forward

    def _leave(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            predicted: Tensor = original(*args, **kwargs)
            branch, chosen = self.clock.branch, self.clock.selection
            if chosen is not None:
                predicted = chosen.put(self._before[branch], predicted)
            if self.keep_noise:
                self._now[branch] = predicted
            return predicted

        return forward

    def _complete(self, name: str) -> Callable[[Forward], Forward]:
        """Keys or values of all tokens, from those of the tokens that run."""

        def make(original: Forward) -> Forward:
            def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                made: Tensor = original(hidden_states, *args, **kwargs)
                key, chosen = (name, self.clock.branch), self.clock.selection
                if chosen is not None:
                    made = chosen.put_into(self._kept[key], made)
                if self._keep:
                    self._kept[key] = made
                return made

            return forward

        return make
