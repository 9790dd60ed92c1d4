"""Residuals of stretches of blocks, kept at full calls and added at the current call."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from accel.caching.extrapolation import History, extrapolate
from accel.caching.forms import is_rows, sign, undone, whole_tensor
from accel.caching.guidance_end import average_guidance
from accel.caching.guidance_halves import newest_results, recalled, select_active_rows
from accel.caching.spans import Stop, StretchPass
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.patching.replacing import untraced
from accel.sites import Sites
from accel.stack import numbered, stretches
from accel.token_selection import TokenSelection
from strategies.methods.deltacache import DeltaCache

Key = tuple[int, int] | str  # Depth and tail of what is left out; "skip" is the whole prediction.
FULL, SKIP = "full", "skip"
TEXT = "encoder_hidden_states"  # Never narrowed where only some tokens of the image run.


class Residuals(CallListener):
    """Residuals of one generation, and the task of each block at the current call.

    Attributes:
        stops: tasks of the blocks, one each.
        skipping: the network does not run at this call.
    """

    def __init__(self, sites: Sites, clock: Clock, knobs: DeltaCache, recorder: Recorder) -> None:
        self.clock, self.recorder = clock, recorder
        self.names = [block.name for block in numbered(sites.stack)]
        self.stops = [Stop() for _ in self.names]
        self.keys = [key_of(d, t) for d, t in zip(knobs.depth, knobs.tail, strict=True)]
        self.keys[0] = FULL
        self.orders = knobs.order
        self.needs = needs(self.keys, self.orders)
        faces = [block.face for block in numbered(sites.stack)]
        self.spans: dict[Key, list[StretchPass]] = {}
        for key in set(self.keys) - {FULL, SKIP}:
            assert isinstance(key, tuple)
            found = stretches(sites.stack, key[0], len(faces) - key[1])
            self.spans[key] = [StretchPass(one, faces[one.first]) for one in found]
        # By pass and key: calls and what is kept of each, newest last, as one tuple of tensors.
        self.kept: dict[tuple[int, Key], History] = {}
        self.forms: dict[tuple[int, Key], Any] = {}
        self.signs: dict[int, Any] = {}
        self.guided: set[int] = set()  # Passes whose kept prediction is from before guidance ended.
        self.uneven: set[int] = set()  # Calls at which not all rows ran.
        self.input = sites.inputs[0]
        clock.listeners.append(self)
        clock.reuses = clock.reuses or not knobs.is_neutral()
        self._reset()

    def _reset(self) -> None:
        self.skipping = False
        self.key: Key = FULL
        self._chosen: TokenSelection | None = None
        self._prediction: tuple[Tensor, ...] | None = None
        self._value: Any = None
        self._form: Any = None
        for spans in self.spans.values():
            for span in spans:
                span.clear()
        for stop in self.stops:
            stop.runs, stop.adds = True, None
            stop.enters, stop.leaves = [], []

    def begin(self) -> None:
        self._chosen = self.clock.selection

    @untraced
    def decide(self, args: Any, kwargs: Any) -> None:
        """Plan the pass that starts now; only the shapes of the denoiser's arguments matter."""
        clock, now = self.clock, self.recorder.now
        rows = len(kwargs[self.input] if self.input in kwargs else args[0])
        given = (clock.rows, sign([args, kwargs], rows))
        if self.signs.get(clock.guidance_pass) != given:
            self._forget(clock.guidance_pass)
            self.signs[clock.guidance_pass] = given
        wanted = self.keys[clock.call]
        value = None if wanted == FULL else self._recall(wanted, rows)
        self.key = FULL if value is None else wanted
        if value is None:
            self._take_up()
            now.depth, now.ran = FULL, list(self.names)
        elif wanted == SKIP:
            self.skipping, self._value = True, value
            self._form = self.forms[clock.guidance_pass, SKIP]
            now.depth, now.ran = SKIP, []
            now.reused.append("prediction")
        else:
            self._leave_out(wanted, value)

    def _recall(self, key: Key, rows: int) -> Any:
        """Value to use at this call, or None if nothing fitting is kept."""
        clock = self.clock
        history = self.kept.get((clock.guidance_pass, key), [])
        order = self.orders[clock.call]
        if not history:
            return None
        if self._even() and not self.uneven.intersection(call for call, _ in history):
            return extrapolate(history, clock.call, order)
        return recalled(history, clock, order, rows if key == SKIP else None)

    def _even(self) -> bool:
        """Whether all rows of the batch run."""
        return self.clock.half is None and self.clock.active_rows == self.clock.rows

    def _take_up(self) -> None:
        """Run everything, and record the residuals that later calls read."""
        for key in self.needs[self.clock.call]:
            for span in self.spans.get(key, ()):
                self.stops[span.stretch.first].enters.append(span)
                self.stops[span.stretch.last].leaves.append(span)

    def _leave_out(self, key: Key, value: tuple[Tensor, ...]) -> None:
        """Run the front and the tail alone."""
        assert isinstance(key, tuple)
        now, form = self.recorder.now, self.forms[self.clock.guidance_pass, key]
        tensors = iter(value)
        spans = self.spans[key]
        for span, (present, kinds) in zip(spans, form, strict=True):
            names = span.stretch.streams
            parts = [next(tensors) if there else None for there in present]
            span.adds = tuple(self._narrowed(n, p) for n, p in zip(names, parts, strict=True))
            span.kinds = kinds
            self.stops[span.stretch.first].enters.append(span)
            self.stops[span.stretch.last].adds = span
        first, last = spans[0].stretch.first, spans[-1].stretch.last
        for number, stop in enumerate(self.stops):
            stop.runs = not first <= number <= last
        now.depth = key[0]
        now.ran = [n for n, stop in zip(self.names, self.stops, strict=True) if stop.runs]
        now.reused.append(f"{self.names[first]} to {self.names[last]}")

    def _narrowed(self, name: str, part: Tensor | None) -> Tensor | None:
        """Residual of the tokens that run."""
        if part is None or self._chosen is None or name == TEXT:
            return part
        return self._chosen.take(part)

    @untraced
    def repeated(self) -> Any:
        """The previous prediction in the form that the network gave it."""
        leaves, spec = self._form
        tensors = iter(self._value)
        found = (one[0] if isinstance(one, tuple) else one(next(tensors)) for one in leaves)
        return tree_unflatten(list(found), spec)

    @untraced
    def predicted(self, output: Any) -> None:
        """Keep the output of the network, if a later call repeats it."""
        if SKIP not in self.needs[self.clock.call]:
            return
        leaves, spec = tree_flatten(output, is_leaf=is_rows)
        kept = (Tensor, list)
        self._prediction = tuple(whole_tensor(one) for one in leaves if isinstance(one, kept))
        self._form = ([undone(one) if isinstance(one, kept) else (one,) for one in leaves], spec)

    def end(self, output: Tensor) -> None:
        branch, call = self.clock.guidance_pass, self.clock.call
        wanted = self.needs[call]
        if self._prediction is not None:
            if branch in self.guided:
                self.guided.discard(branch)
                self.kept.pop((branch, SKIP), None)
            self._keep(SKIP, self._prediction, self._form)
        if self.key == FULL:
            for key, spans in self.spans.items():
                if key in wanted and all(span.found is not None for span in spans):
                    self._offer(key, spans)
        for place in [place for place in self.kept if place[0] == branch]:
            self.kept[place] = newest_results(self.kept[place], wanted.get(place[1], 0))
            if not self.kept[place]:
                del self.kept[place]
        self._reset()

    def _offer(self, key: Key, spans: list[StretchPass]) -> None:
        """Keep the residuals of a full call."""
        form = [(tuple(p is not None for p in s.found or ()), s.kinds) for s in spans]
        history = self.kept.get((self.clock.guidance_pass, key), [])
        before = iter(history[-1][1]) if history else None
        value: list[Tensor] = []
        for span in spans:
            for name, part in zip(span.stretch.streams, span.found or (), strict=True):
                if part is None:
                    continue
                whole = None if before is None else next(before)
                if self._chosen is not None and name != TEXT:
                    # Of the half that runs: the other may sit out.
                    whole = None if whole is None else select_active_rows(whole, self.clock)
                    if whole is None:
                        return  # Of all tokens nothing is known.
                    part = self._chosen.put(whole, part)
                value.append(part)
        self._keep(key, tuple(value), form)

    def _keep(self, key: Key, value: tuple[Tensor, ...], form: Any) -> None:
        place = (self.clock.guidance_pass, key)
        if not self._even():
            self.uneven.add(self.clock.call)
        self.kept.setdefault(place, []).append((self.clock.call, value))
        self.forms[place] = form

    def _forget(self, branch: int) -> None:
        for place in [place for place in self.kept if place[0] == branch]:
            del self.kept[place]

    def clear(self) -> None:
        self.kept.clear()
        self.forms.clear()
        self.signs.clear()
        self.guided.clear()
        self.uneven.clear()
        self._reset()

    def merge_guidance(self) -> None:
        """Average residuals over guidance; keep the newest prediction as it is."""
        self.uneven |= {call for history in self.kept.values() for call, _ in history}
        folded = {place: value[-1:] for place, value in self.kept.items() if place[1] == SKIP}
        self.guided = {branch for branch, _ in folded}
        for key in {key for _, key in self.kept if key != SKIP}:
            passes = {b: self.kept[b, key] for b, k in self.kept if k == key}
            for branch, history in average_guidance(passes, self.clock).items():
                folded[branch, key] = history
        self.kept = folded


def key_of(depth: int | str, tail: int) -> Key:
    """Key of the stretch that a call leaves out."""
    return depth if isinstance(depth, str) else (depth, tail)


def needs(keys: list[Key], orders: tuple[int, ...]) -> list[dict[Key, int]]:
    """Numbers of the newest values that later calls read, by key, one mapping for each call.

    Residuals are computed at full calls, predictions at all calls that are not skipped.
    """
    later: list[dict[Key, int]] = []
    wanted: dict[Key, int] = {}
    for key, order in zip(reversed(keys), reversed(orders), strict=True):
        later.append(dict(wanted))
        made = set(wanted) if key == FULL else (set() if key == SKIP else {SKIP})
        wanted = {k: n - (k in made) for k, n in wanted.items() if k not in made or n > 1}
        if key != FULL:
            wanted[key] = max(wanted.get(key, 0), order + 1)
    return later[::-1]
