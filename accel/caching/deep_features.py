"""Feature cache of DeepCache: the input of the outermost d levels of the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from accel.caching.extrapolation import FULL, History, features_needed_later
from accel.caching.guidance_end import average_guidance
from accel.caching.guidance_halves import newest_results, recalled
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.patching.denoiser_output import prediction
from accel.patching.replacing import untraced
from strategies.methods.deepcache import DeepCache


class BlockView(Protocol):
    """A part of the network shown as a module of its own, which may be out of date."""

    def check(self) -> None: ...


class DeepFeatures(CallListener):
    """Features of one generation, and how the current call uses them.

    Attributes:
        depth: depth of the current call; `FULL` runs everything.
        value: feature that replaces everything that is skipped at the current call.
        views: views that are checked before every shallow call.

    Args:
        running: names of the blocks that run at a depth.
        overwrites: whether the network changes feature maps in place, as FreeU does, so that kept
            features must be copies.
    """

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        knobs: DeepCache,
        running: Callable[[int], list[str]],
        overwrites: Callable[[], bool],
    ) -> None:
        self.clock, self.recorder, self.knobs = clock, recorder, knobs
        self.depth = FULL
        self.value: Tensor | None = None
        self.views: list[BlockView] = []
        self._running, self._overwrites = running, overwrites
        self._copy = False
        self._needs = features_needed_later(knobs.depth, knobs.order)
        # Per guidance branch and depth: the call and the feature, newest last.
        self.kept: dict[tuple[int, int], History] = {}
        self._made_for: dict[int, tuple[Any, ...]] = {}
        self._wanted: set[int] = set()
        self._last_guided: set[tuple[int, int]] = set()
        self._fresh: dict[int, Tensor] = {}
        clock.listeners.append(self)

    @untraced
    def decide(self, sample: Tensor) -> None:
        """Decide the depth of the pass that starts now; `sample` is the denoiser's input."""
        clock, now = self.clock, self.recorder.now
        shape = (clock.rows, sample.shape[1:], sample.dtype, sample.device)
        if self._made_for.get(clock.guidance_pass) != shape:
            self.kept = {
                key: value for key, value in self.kept.items() if key[0] != clock.guidance_pass
            }
            self._made_for[clock.guidance_pass] = shape
        self._wanted, self._fresh = set(self._needs[clock.call]), {}
        self.depth, self.value = FULL, None
        self._copy = self._overwrites()
        wanted = self.knobs.depth[clock.call]
        history = [] if wanted == "full" else self.kept.get((clock.guidance_pass, wanted), [])
        value = None
        if history and wanted != "full":
            # Predictions are of all rows that the denoiser was given.
            rows = None if wanted else len(sample)
            value = recalled(history, clock, self.knobs.order[clock.call], rows)
        if value is not None and wanted != "full":
            self.depth, self.value = wanted, value
            if self._copy and wanted:
                self.value = self.value.clone()
            for view in self.views:
                view.check()
        now.depth = "full" if self.depth == FULL else self.depth
        now.ran = self._running(self.depth)

    @untraced
    def predicted(self, output: Any) -> None:
        """Keep the denoiser's output, if a later call repeats it."""
        self.offer(0, prediction(output))

    def offer(self, depth: int, feature: Tensor) -> None:
        """Keep a feature that was just computed, if a later call reads it."""
        if depth in self._wanted:
            self._fresh[depth] = feature.clone() if self._copy else feature

    def end(self, output: Tensor) -> None:
        call, branch = self.clock.call, self.clock.guidance_pass
        if 0 in self._fresh and (branch, 0) in self._last_guided:
            self._last_guided.remove((branch, 0))
            self.kept.pop((branch, 0), None)  # A call that nothing repeats has let it go before.
        for depth, feature in self._fresh.items():
            self.kept.setdefault((branch, depth), []).append((call, feature))
        for key in [key for key in self.kept if key[0] == branch]:
            count = self._needs[call].get(key[1], 0)
            self.kept[key] = newest_results(self.kept[key], count)
            if not self.kept[key]:
                del self.kept[key]
        self._fresh, self.value = {}, None

    def clear(self) -> None:
        self.kept.clear()
        self._last_guided.clear()
        self._made_for.clear()
        self._fresh, self.value = {}, None

    def merge_guidance(self) -> None:
        """Average the kept features over the two halves of guidance.

        Kept predictions are not averaged. Only the newest is kept, since predictions before and
        after the end of guidance form no common series.
        """
        folded = {key: value[-1:] for key, value in self.kept.items() if key[1] == 0}
        self._last_guided = set(folded)
        for depth in {depth for _, depth in self.kept if depth}:
            passes = {b: self.kept[b, d] for b, d in self.kept if d == depth}
            for branch, history in average_guidance(passes, self.clock).items():
                folded[branch, depth] = history
        self.kept = folded
