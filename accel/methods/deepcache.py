"""DeepCache (Ma, Fang & Wang, CVPR 2024, arXiv 2312.00858) with a depth for every call.

At depth d the input convolution and the outermost d skip levels run on fresh features; what they
would get from below is the feature of an earlier call (section 3.3 of the paper; d = 1 is its
branch 0). Depth 0 repeats the previous prediction, as in DaTo (Table 6). The rest of the network
does not run: its blocks are skipped whole, and of the block in which the border lies only the
layers above it run. diffusers' own forward stays in charge, so ControlNet, added conditions and the
like keep working.

Cached is only what a later call reads: the input of the outermost d levels, for those d that come
before a call that computes it anew. Each of the two passes of two-call guidance has a cache of its
own. A cache that is missing or was made from another shape is not used: that call runs in full.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from accel.clock import Clock
from accel.patching import Forward, Undo, replace_forward, undo_all
from accel.records import Recorder
from accel.sites import Sites, Stage
from strategies import StrategyError
from strategies.knobs import Depth
from strategies.methods.deepcache import DeepCache

FULL = 1 << 30
Wrap = Callable[[Forward], Forward]


def attach(sites: Sites, clock: Clock, knobs: DeepCache, recorder: Recorder) -> Undo:
    """Cache along `knobs.depth` until undone.

    Raises:
        StrategyError: a depth that the network does not have.
    """
    levels = sites.skip_levels
    for call, depth in enumerate(knobs.depth):
        if depth != "full" and depth > levels:
            raise StrategyError(
                f"methods.deepcache.depth[{call}] is {depth}, but this model has {levels} skip "
                f'levels; use "full" or 0 to {levels}'
            )
    cache = _Cache(clock, needs(knobs.depth))
    wanted = {depth for depth in knobs.depth if depth != "full"}
    undos = [*_attach_blocks(sites, cache, recorder), *_attach_taps(sites, cache, wanted)]
    undos.append(replace_forward(sites.denoiser, _denoiser(cache, knobs.depth, recorder)))

    def undo() -> None:
        undo_all(undos)
        cache.clear()

    return undo


def needs(depths: Sequence[Depth]) -> list[frozenset[int]]:
    """For each call, the depths whose feature must be there after it because a later call reads it.

    The feature below the outermost d levels is computed at every call deeper than d; it is worth
    keeping after a call if the next call that touches it reads it.
    """
    later: list[frozenset[int]] = []
    wanted: set[int] = set()
    for depth in reversed(depths):
        later.append(frozenset(wanted))
        wanted = set() if depth == "full" else {d for d in wanted if d >= depth} | {depth}
    return later[::-1]


@dataclass
class _Cache:
    """The features of one generation and what the current call does with them.

    Attributes:
        depth: of the current call; `FULL` runs everything.
        kept: per guidance branch and depth, the shape the feature belongs to and the feature.
    """

    clock: Clock
    needs: list[frozenset[int]]
    depth: int = FULL
    sample: tuple[Any, ...] = ()
    generation: int = -1
    kept: dict[tuple[int, int], tuple[tuple[Any, ...], Any]] = field(default_factory=dict)

    def begin(self, wanted: Depth, sample: Tensor) -> None:
        """Decide the depth of the call that starts now."""
        if self.generation != self.clock.generation:
            self.kept.clear()
            self.generation = self.clock.generation
        self.sample = (sample.shape, sample.dtype, sample.device)
        self.depth = FULL
        if wanted != "full" and self.find(wanted) is not None:
            self.depth = wanted

    def find(self, depth: int) -> Any:
        """The cached feature below `depth` levels, or None where there is none to use."""
        made_for, feature = self.kept.get((self.clock.branch, depth), ((), None))
        return feature if made_for == self.sample else None

    @property
    def feature(self) -> Any:
        """What stands in for everything that is skipped at the current call."""
        return self.find(self.depth)

    def offer(self, depth: int, feature: Any) -> None:
        """Keep a feature that was just computed, if a later call reads it."""
        if depth in self.needs[self.clock.call]:
            self.kept[self.clock.branch, depth] = (self.sample, feature)

    def end(self) -> None:
        """Free what no later call reads."""
        alive = self.needs[self.clock.call]
        for key in [k for k in self.kept if k[0] == self.clock.branch and k[1] not in alive]:
            del self.kept[key]

    def clear(self) -> None:
        self.kept.clear()


def _denoiser(cache: _Cache, depths: Sequence[Depth], recorder: Recorder) -> Wrap:
    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            cache.begin(
                depths[cache.clock.call], kwargs["sample"] if "sample" in kwargs else args[0]
            )
            recorder.now.depth = "full" if cache.depth == FULL else cache.depth
            if cache.depth != FULL and kwargs.get("down_intrablock_additional_residuals"):
                raise StrategyError(
                    "deepcache does not work with T2I-Adapters; remove the adapter, or use a "
                    'strategy whose depth is "full" at every call'
                )
            output = cache.feature if cache.depth == 0 else original(*args, **kwargs)
            cache.offer(0, output)
            cache.end()
            return output

        return forward

    return make


def _attach_blocks(sites: Sites, cache: _Cache, recorder: Recorder) -> Iterator[Undo]:
    first = 1  # Skip level 0 is the input convolution, which always runs.
    for stage in sites.down:
        yield replace_forward(stage.block, _down_block(cache, stage, first, recorder))
        first += len(stage.layers)
    if sites.mid is not None:
        yield replace_forward(sites.mid, _mid(cache, recorder))
    above = sites.skip_levels  # Skip levels from a stage's first layer to the network's end.
    for stage in sites.up:
        yield replace_forward(
            stage.block, _up_block(cache, stage, above, sites.skip_levels, recorder)
        )
        above -= len(stage.layers)


def _attach_taps(sites: Sites, cache: _Cache, wanted: set[int]) -> Iterator[Undo]:
    """Offer what passes between two layers of one up block, where some call wants it."""
    below = sites.skip_levels
    for stage in sites.up:
        for layer in stage.layers[:-1]:
            below -= 1
            if below in wanted:
                yield layer[-1].register_forward_hook(_tap(cache, below)).remove
        below -= 1


def _tap(cache: _Cache, depth: int) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        cache.offer(depth, output[0] if isinstance(output, tuple) else output)

    return hook


def _down_block(cache: _Cache, stage: Stage, first: int, recorder: Recorder) -> Wrap:
    """Levels `first` and up: each layer of the block gives one skip connection."""

    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            count = min(len(stage.layers), max(0, cache.depth - first))
            if count == len(stage.layers):
                recorder.now.ran.append(stage.name)
                return original(*args, **kwargs)
            hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
            nothing = hidden.new_zeros(())
            if count == 0:
                return nothing, (nothing,) * len(stage.layers)
            recorder.now.ran.append(f"{stage.name}[:{count}]")
            part = _part(stage.block, slice(0, count), with_tail=False)
            _, skips = type(part).forward(part, *args, **kwargs)
            return nothing, (*skips, *(nothing,) * (len(stage.layers) - count))

        return forward

    return make


def _mid(cache: _Cache, recorder: Recorder) -> Wrap:
    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if cache.depth != FULL:
                return hidden_states.new_zeros(())
            recorder.now.ran.append("mid_block")
            return original(hidden_states, *args, **kwargs)

        return forward

    return make


def _up_block(cache: _Cache, stage: Stage, above: int, levels: int, recorder: Recorder) -> Wrap:
    """`above` levels from the block's first layer to the end, so it is entered at that depth."""
    below = above - len(stage.layers)

    def make(original: Forward) -> Forward:
        def forward(
            hidden_states: Tensor, res_hidden_states_tuple: Any, *args: Any, **kwargs: Any
        ) -> Any:
            count = min(len(stage.layers), max(0, cache.depth - below))
            if count == 0:
                return hidden_states
            if cache.depth <= above:
                hidden_states = cache.feature
            elif above == levels:  # Here and not at the mid block: ControlNet adds to it before.
                cache.offer(levels, hidden_states)
            if count == len(stage.layers):
                recorder.now.ran.append(stage.name)
                output = original(hidden_states, res_hidden_states_tuple, *args, **kwargs)
            else:
                recorder.now.ran.append(f"{stage.name}[-{count}:]")
                part = _part(stage.block, slice(-count, None), with_tail=True)
                skips = res_hidden_states_tuple[:count]
                output = type(part).forward(part, hidden_states, skips, *args, **kwargs)
            if below:
                cache.offer(below, output)
            return output

        return forward

    return make


def _part(block: nn.Module, layers: slice, with_tail: bool) -> nn.Module:
    """A view of `block` with some of its layers; parameters and inner modules are shared."""
    view = copy.copy(block)
    modules = dict(block._modules)
    for name in ("resnets", "attentions"):
        if modules.get(name) is not None:
            modules[name] = nn.ModuleList(list(cast(nn.ModuleList, modules[name]))[layers])
    if not with_tail:
        modules["downsamplers"] = None
    view.__dict__["_modules"] = modules
    return view
