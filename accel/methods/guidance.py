"""Guidance per call: the half without the prompt runs, is left out, or is made from kept values.

The pipeline adds `g (c - u)` to `u`, or to `c`. Here `c` is the prediction with the prompt, `u` the
one without, and `g` the guidance scale. If the unconditional half is left out, its rows are removed
before the network, or its pass is not made. The pipeline is then given another `u`. It is `c`
itself, so that it does not guide (Adaptive Guidance, arXiv 2312.12487; limited intervals, arXiv
2404.07724), or `c` minus the kept difference of the two, which may be weighted (the stale
difference of CFG gating). Another guidance strength `s` is made by `u = c - (s g - 1) / (g - 1) d`,
with the difference `d`. If the pipeline adds to `c`, it is made by `u = c - s d`. Both leave `c` as
it is, from which `guidance_rescale` and the norms of Qwen-Image, Lumina 2 and Z-Image take their
measure.

A loop of one's own does not say how it guides before its solver's first step, so its first call
runs as without this method. If it makes two passes, the unconditional one first, that pass returns
a tensor that is filled in after the other pass.
"""

from __future__ import annotations

import logging
import weakref
from typing import Any

import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from accel.caching.extrapolation import History, extrapolate
from accel.caching.guidance_halves import differences_needed_later, joined, part, run_half
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.compatibility.attention_processors import Processors, Trait, attentions
from accel.patching.denoiser_output import as_output, prediction, refilled
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, untraced
from accel.pipelines.guidance_errors import (
    CHANGING,
    COPIED,
    MORE,
    OWED,
    SPLIT,
    STRENGTH,
    THREE,
    UNGUIDED,
    UNORDERED,
)
from accel.pipelines.manners import Kind
from accel.sites import Sites
from strategies import StrategyError
from strategies.methods.guidance import Guidance, Mode

_LOG = logging.getLogger(__name__)
_TOLD: weakref.WeakSet[Any] = weakref.WeakSet()


def attach(sites: Sites, clock: Clock, knobs: Guidance, recorder: Recorder) -> Undo:
    """Guide along `knobs` until undone.

    Raises:
        StrategyError: attention processors that read rows across each other.
    """
    if knobs.is_neutral():
        return lambda: None
    Processors(clock, "guidance", attentions(sites.denoiser), [Trait.ROWS])
    guide = Guide(clock, knobs, recorder, sites)
    return replace_forward(sites.denoiser, guide.wrap, traced=False)


class Guide(CallListener):
    """Decisions about guidance in each pass, and the denoiser's outermost wrapper that carries them
    out.
    """

    def __init__(self, clock: Clock, knobs: Guidance, recorder: Recorder, sites: Sites) -> None:
        self.clock, self.knobs, self.recorder = clock, knobs, recorder
        self.network: Any = sites.denoiser
        self.output: type[BaseOutput] = sites.output
        self.input = sites.inputs[0]
        self.ordered = sites.ordered
        self._needed = differences_needed_later(knobs.mode, knobs.order)
        clock.asks = True
        clock.listeners.insert(0, self)  # It decides which rows others see.
        clock.half_alone_at = self.half_alone_at
        self.clear()

    def clear(self) -> None:
        self._kept: History = []  # Differences of the two predictions.
        self._raw: dict[int, Tensor] = {}  # Predictions of a call whose guidance is unknown.
        self._first: Tensor | None = None  # Prediction of the first of two passes.
        self._like: Any = None  # Output that it came in.
        self._owed: weakref.ref[Tensor] | None = None
        self._form: tuple[Any, torch.dtype, torch.device] | None = None  # Form of a prediction.
        self._mode: Mode = "full"
        self._kind: Kind | None = "none"

    def begin(self) -> None:
        clock, call = self.clock, self.clock.call
        if clock.part == 0:
            self._first = self._like = None
        if clock.guidance_pass == 0:
            self._recover()
        self._kind = self._found()
        self._mode = self.knobs.mode[call]
        if self._mode == "reuse" and not self._kept:
            self._mode = "full"  # A run that starts behind the call that would have kept it.
        if self._kind in (None, "none"):
            return
        if self._mode == "full":
            return
        if self._kind == "halves":
            clock.half, clock.active_rows = clock.conditional, clock.rows // 2
        else:
            clock.idle = clock.part != clock.conditional

    def half_alone_at(self, call: int) -> int | None:
        """Half of a doubled batch that will run alone at the next call; None if both run, or if
        that is not known yet.
        """
        mode = self.knobs.mode[call]
        if mode == "full" or (mode == "reuse" and not self._kept):
            return None
        return self.clock.conditional if self.clock.batched_guidance else None

    def _found(self) -> Kind | None:
        """Part that this pass takes in guidance; None if that is not known."""
        clock = self.clock
        if clock.images is None:
            known = clock.guiding
            if known is None and not self.ordered:
                kind = type(self.network).__name__
                raise StrategyError(UNORDERED.format(method="guidance", network=kind))
            if known is not None and known.kind == "none":
                self._say()
            if known is not None and known.kind == "halves" and clock.rows % 2:
                raise StrategyError(SPLIT)
            return None if known is None else known.kind
        if clock.rows == 2 * clock.images:
            return "halves"
        if clock.guiding is not None and clock.guiding.kind == "halves" and clock.parts == 2:
            raise StrategyError(SPLIT)
        if clock.rows != clock.images:
            raise StrategyError(THREE.format(rows=clock.rows, images=clock.images))
        if clock.guiding is not None:
            return "passes" if clock.guiding.kind == "passes" else "none"
        if clock.parts > 2:
            raise StrategyError(MORE.format(parts=clock.parts))
        return "passes" if clock.parts == 2 else "none"

    def _say(self) -> None:
        """Log once that a pipeline does not guide."""
        if self.network not in _TOLD:
            _TOLD.add(self.network)
            _LOG.warning(UNGUIDED)

    def end(self, output: Tensor) -> None:
        if self._kind is None and self._needed[self.clock.call]:
            self._raw[self.clock.part] = output
        self._form = (output.shape, output.dtype, output.device)

    def step(self) -> None:
        if self._owed is not None:
            self._owed = None
            raise StrategyError(OWED)

    def _recover(self) -> None:
        """Keep the difference of a call whose guidance was not known while it ran."""
        clock, raw = self.clock, self._raw
        self._raw = {}
        if not raw:
            return
        if len(raw) == 2:
            both = [raw[0], raw[1]]
        elif clock.images is not None and len(raw[0]) == 2 * clock.images:
            both = list(raw[0].chunk(2))
        else:
            return
        self._keep(clock.first, both[clock.conditional] - both[1 - clock.conditional])

    def _keep(self, call: int, difference: Tensor) -> None:
        self._kept = [*self._kept, (call, difference)][-self._needed[call] :]

    def wrap(self, original: Forward) -> Forward:
        """Wrapper of the denoiser's forward."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._kind in (None, "none"):
                return original(*args, **kwargs)
            self.recorder.now.guidance = self._mode
            run = self._halves if self._kind == "halves" else self._pass
            return run(original, args, kwargs)

        return forward

    def _halves(self, original: Forward, args: Any, kwargs: Any) -> Any:
        clock = self.clock
        if clock.half is None:
            output = original(*args, **kwargs)
            if not self._asked():
                return output
            clock.raw = made = prediction(output)
            sides = part(made, 1 - clock.conditional), part(made, clock.conditional)
            return refilled(output, joined(*self._adapted(*sides), clock))
        listed = isinstance(kwargs.get(self.input, args[0] if args else None), list)
        output = run_half(original, args, kwargs, clock.rows, clock.half, listed)
        clock.raw = conditional = prediction(output)
        return refilled(output, joined(*self._imagined(conditional), clock))

    def _pass(self, original: Forward, args: Any, kwargs: Any) -> Any:
        clock = self.clock
        mine = clock.part == clock.conditional
        if clock.idle and clock.part == 0:
            return as_output(self._blank(), kwargs, self.output)
        if clock.idle and self._first is not None:
            return refilled(self._like, self._imagined(self._first)[0])
        output = original(*args, **kwargs)
        if clock.part == 0:
            self._first, self._like = prediction(output), output
            return output
        if self._owed is not None:
            clock.raw = prediction(output)
            return refilled(output, self._fill(clock.raw))
        if not self._asked() or self._first is None:
            return output
        clock.raw = made = prediction(output)
        before = self._first
        self._first = self._like = None
        adapted = self._adapted(before, made) if mine else self._adapted(made, before)
        return refilled(output, adapted[1] if mine else adapted[0])

    def _asked(self) -> bool:
        """Whether a full call needs the two predictions separately."""
        call = self.clock.call
        return bool(self._needed[call]) or self.knobs.scale[call] != 1

    @untraced
    def _adapted(self, unconditional: Tensor, conditional: Tensor) -> tuple[Tensor, Tensor]:
        """The two predictions of a full call as the pipeline gets them, unconditional first."""
        call = self.clock.call
        difference = conditional - unconditional
        if self._needed[call]:
            self._keep(call, difference)
        if self.knobs.scale[call] == 1:
            return unconditional, conditional
        return self._scaled(unconditional, conditional, difference)

    @untraced
    def _imagined(self, conditional: Tensor) -> tuple[Tensor, Tensor]:
        """The two predictions of a call at which only the conditional half ran, unconditional
        first.
        """
        call = self.clock.call
        if self._mode == "off":
            return conditional, conditional
        difference = extrapolate(self._kept, call, self.knobs.order[call])
        if self.knobs.weight[call] != 1:
            difference = difference * self.knobs.weight[call]
        left = self._needed[call]
        self._kept = self._kept[-left:] if left else []
        return self._scaled(conditional - difference, conditional, difference)

    def _scaled(
        self, unconditional: Tensor, conditional: Tensor, difference: Tensor
    ) -> tuple[Tensor, Tensor]:
        clock, strength = self.clock, self.knobs.scale[self.clock.call]
        if strength == 1:
            return unconditional, conditional
        guiding = clock.guiding
        own = None if guiding is None else guiding.scale()
        if guiding is not None and guiding.adds:
            return torch.sub(conditional, difference, alpha=strength), conditional
        if guiding is not None and own is None:
            raise StrategyError(CHANGING)
        if own is not None and own != 1:
            factor = (strength * own - 1) / (own - 1)
            return torch.sub(conditional, difference, alpha=factor), conditional
        if self._kind == "passes" and clock.conditional == 0:
            raise StrategyError(STRENGTH)
        return unconditional, torch.add(unconditional, difference, alpha=strength)

    def _blank(self) -> Tensor:
        """Placeholder that an unconditional first pass returns until the other has run: not a
        number.
        """
        assert self._form is not None  # Passes are known from the call before.
        shape, dtype, device = self._form
        blank = torch.full(shape, float("nan"), dtype=dtype, device=device)
        self._owed = weakref.ref(blank)
        return blank

    def _fill(self, conditional: Tensor) -> Tensor:
        """Fill the placeholder of the unconditional first pass, and return the conditional
        prediction.
        """
        owed, self._owed = self._owed, None
        blank = None if owed is None else owed()
        if blank is None:
            raise StrategyError(COPIED)
        unconditional, adapted = self._imagined(conditional)
        blank.copy_(unconditional)
        return adapted
