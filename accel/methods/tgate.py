"""T-GATE (Zhang et al., "Faster Diffusion through Temporal Attention Decomposition", 2404.02747).

From the gate on, cross-attention is not computed. Its outputs at the call before the gate, averaged
over the two halves of guidance, are used to the end. The network then runs once per image, without
guidance, on the unconditional row of each pair, which Stable Diffusion and PixArt put first. The
pipeline still gets a prediction for both halves, twice the same, so its own guidance changes
nothing. If guidance takes two passes, the second repeats the first's prediction. Before the gate,
self-attention outputs are reused between calls at multiples of an interval.

Differences to the published code: nothing stays patched. The plain attention modules run with
whatever processor they have. An image-to-image run that starts after the gate computes its first
call in full, including guidance. Results kept by other methods are averaged over guidance at the
gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusers.utils import BaseOutput
from torch import Tensor

from accel.caching.cached_output import CachedOutput, with_cached_output
from accel.caching.guidance_halves import joined, run_half
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.compatibility.attention_processors import Processors, Trait, attentions
from accel.patching.denoiser_output import as_output, prediction, refilled
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all
from accel.sites import Sites
from strategies import StrategyError
from strategies.methods.tgate import TGate

REUSE = {"attn": "reuse_self", "cross": "reuse_cross"}


def attach(sites: Sites, clock: Clock, knobs: TGate, recorder: Recorder) -> Undo:
    """Reuse attention outputs until undone.

    Raises:
        StrategyError: the model has no cross-attention, or attention processors that do not go with
            this.
    """
    if not any("cross" in part.kinds for part in sites.parts):
        raise StrategyError(
            "methods.tgate needs a model with cross-attention, which "
            f"{type(sites.denoiser).__name__} does not have; take methods.tgate out"
        )
    reused = {p.name: p.module for p in sites.parts if {"attn", "cross"} & set(p.kinds)}
    Processors(clock, "tgate", reused, [Trait.KEEPS])
    if knobs.gate is not None and knobs.drop_guidance:
        Processors(clock, "tgate", attentions(sites.denoiser), [Trait.ROWS])
    gate = GuidanceGate(clock, knobs, recorder, sites.output)
    undos: list[Undo] = []
    for part in sites.parts:
        (kind,) = part.kinds
        if kind in REUSE:
            place = CachedOutput(clock, recorder, _computes(knobs, kind), part.name)
            undos.append(replace_forward(part.module, with_cached_output(place)))
    undos.append(replace_forward(sites.denoiser, gate.wrap, traced=False))
    return lambda: undo_all(undos)


def _computes(knobs: TGate, kind: str) -> Callable[[int], bool]:
    return lambda call: not getattr(knobs.plan(call), REUSE[kind])


class GuidanceGate(CallListener):
    """State of the gate, and the denoiser's wrapper that runs one half of guidance after it."""

    def __init__(
        self, clock: Clock, knobs: TGate, recorder: Recorder, output: type[BaseOutput]
    ) -> None:
        self.clock, self.knobs, self.recorder, self.output = clock, knobs, recorder, output
        self.single = self.folded = False
        self._first: Tensor | None = None
        clock.listeners.insert(0, self)  # It folds what others kept before they look for it.

    def clear(self) -> None:
        self.single = self.folded = False
        self._first = None

    def begin(self) -> None:
        clock = self.clock
        self._check_parts()
        guided = clock.batched_guidance or clock.parts == 2
        self.single = guided and clock.call > clock.first and self.knobs.plan(clock.call).single
        if self.single and clock.batched_guidance:
            clock.active_rows = clock.rows // 2
        if self.single and not self.folded:
            self.folded = True
            clock.merge_guidance()

    def _check_parts(self) -> None:
        """Refuse batches that hold every image more than twice, as soon as that is known."""
        clock, knobs = self.clock, self.knobs
        drops = knobs.gate is not None and knobs.drop_guidance
        if not drops or clock.images is None or clock.rows in (clock.images, 2 * clock.images):
            return
        raise StrategyError(
            f"methods.tgate ends guidance of two parts, but this pipeline runs {clock.rows} rows "
            f"for {clock.images} images, so that guidance has more; set drop_guidance: false in "
            "methods.tgate, which keeps all parts"
        )

    def end(self, output: Tensor) -> None:
        self._first = output if self.single and self.clock.parts == 2 else None

    def wrap(self, original: Forward) -> Forward:
        """Wrapper of the denoiser's forward."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            if not self.single:
                return original(*args, **kwargs)
            if self.clock.parts == 2:
                if self.clock.part == 0 or self._first is None:
                    return original(*args, **kwargs)
                self.recorder.now.ran = []
                self.recorder.now.reused.append("prediction")
                return as_output(self._first, kwargs, self.output)
            alone = run_half(original, args, kwargs, self.clock.rows, 0)
            made = prediction(alone)
            return refilled(alone, joined(made, made, self.clock))

        return forward
