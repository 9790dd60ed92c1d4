"""DeepCache (Ma, Fang & Wang, CVPR 2024, arXiv 2312.00858) with a depth for every call.

At depth d the input convolution and the outermost d skip levels run on fresh features. Below them
the feature of an earlier call is used (section 3.3 of the paper; d = 1 is its branch 0). Depth 0
repeats the previous prediction, as in DaTo (Table 6). The rest of the network does not run: its
blocks are skipped as a whole, and in the block at the border only the layers above it run.
diffusers' own forward remains in place, so ControlNet, T2I-Adapters and added conditions keep
working.

With order 1 or 2 the feature is extrapolated over the calls through the last two or three computed
ones (the idea of TaylorSeer, arXiv 2503.06923, on unequal distances).

Only features that a later call reads are cached: the input of the outermost d levels, for each d
that comes before the next call that computes it. Each of the two passes of two-pass guidance has a
cache of its own. If a cache is missing or has another shape, the call runs in full.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from torch import Tensor, nn

from accel.caching.deep_features import DeepFeatures
from accel.caching.extrapolation import FULL
from accel.call_records import Recorder
from accel.clock import Clock
from accel.compatibility.attention_processors import Processors, Trait, attentions
from accel.patching.denoiser_output import as_output
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all, watch
from accel.sites import Sites, Stage
from strategies import StrategyError
from strategies.methods.deepcache import DeepCache

Wrap = Callable[[Forward], Forward]
ADAPTER = "down_intrablock_additional_residuals"
SHARED_SKIPS = ("KUpBlock2D", "KCrossAttnUpBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D")


def attach(sites: Sites, clock: Clock, knobs: DeepCache, recorder: Recorder) -> Undo:
    """Cache along `knobs.depth` until undone.

    Raises:
        StrategyError: a depth that the network does not have, blocks that share one skip
            connection between their layers, hooks on its blocks, or attention processors whose
            calls others count on.
    """
    levels = sites.skip_levels
    _check_skips(sites, knobs)
    for call, depth in enumerate(knobs.depth):
        if depth != "full" and depth > levels:
            raise StrategyError(
                f"methods.deepcache.depth[{call}] is {depth}, but this model has {levels} skip "
                f'levels; use "full" or 0 to {levels}'
            )
    features = DeepFeatures(
        clock,
        recorder,
        knobs,
        lambda depth: blocks_that_run(sites, depth),
        lambda: any(getattr(stage.block, "b1", None) is not None for stage in sites.up),
    )
    wanted = {depth for depth in knobs.depth if depth != "full"}
    if wanted:
        Processors(clock, "deepcache", attentions(sites.denoiser), [Trait.KEEPS])
    undos = [*_attach_blocks(sites, features, wanted), *_attach_taps(sites, features, wanted)]
    whole = _denoiser(features, sites)
    undos.append(replace_forward(sites.denoiser, whole, traced=False))
    return lambda: undo_all(undos)


def _check_skips(sites: Sites, knobs: DeepCache) -> None:
    """Check that every layer on the way up has a skip connection of its own."""
    shared = [stage for stage in sites.up if type(stage.block).__name__ in SHARED_SKIPS]
    deep = [call for call, depth in enumerate(knobs.depth) if depth not in ("full", 0)]
    if shared and deep:
        call, stage = deep[0], shared[0]
        raise StrategyError(
            f"methods.deepcache.depth[{call}] is {knobs.depth[call]}, but {stage.name} is a "
            f'{type(stage.block).__name__}, whose layers share one skip connection; use "full" or 0'
        )


def blocks_that_run(sites: Sites, depth: int) -> list[str]:
    """Names of the blocks that run at a depth, in order; of a block run in part, its layers."""
    names, first, below = [], 1, sites.skip_levels
    for stage in sites.down:
        count = min(len(stage.layers), max(0, depth - first))
        first += len(stage.layers)
        if count:
            names.append(stage.name + ("" if count == len(stage.layers) else f"[:{count}]"))
    if sites.mid is not None and depth == FULL:
        names.append("mid_block")
    for stage in sites.up:
        below -= len(stage.layers)
        count = min(len(stage.layers), max(0, depth - below))
        if count:
            names.append(stage.name + ("" if count == len(stage.layers) else f"[-{count}:]"))
    return names


def _denoiser(features: DeepFeatures, sites: Sites) -> Wrap:
    kind = sites.output

    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            features.decide(kwargs["sample"] if "sample" in kwargs else args[0])
            if features.depth == 0:
                return as_output(cast(Tensor, features.value), kwargs, kind)
            if kwargs.get(ADAPTER) and features.depth != FULL:
                kwargs[ADAPTER] = _adapter(kwargs[ADAPTER], sites, features.depth)
            output = original(*args, **kwargs)
            features.predicted(output)
            return output

        return forward

    return make


def _adapter(residuals: Sequence[Tensor], sites: Sites, depth: int) -> list[Tensor]:
    """Residuals that a T2I-Adapter adds at a depth: one tensor for each block on the way down.

    Blocks with attention add theirs before they end. diffusers adds residuals after the other
    blocks only if these run to their end, so they count as nothing else. The middle block does not
    run.
    """
    found, first = [], 1
    for residual, stage in zip(residuals, sites.down, strict=False):
        whole = depth - first >= len(stage.layers)
        first += len(stage.layers)
        inside = getattr(stage.block, "has_cross_attention", False)
        found.append(residual if whole or inside else residual.new_zeros(()))
    return found


def _attach_blocks(sites: Sites, features: DeepFeatures, wanted: set[int]) -> Iterator[Undo]:
    first = 1  # Skip level 0 is the input convolution, which always runs.
    for stage in sites.down:
        views = _Views(stage, features, {depth - first for depth in wanted}, from_end=False)
        yield replace_forward(stage.block, _down_block(features, stage, first, views))
        first += len(stage.layers)
    if sites.mid is not None:
        yield replace_forward(sites.mid, _mid(features))
    above = sites.skip_levels  # Skip levels from a stage's first layer to the network's end.
    for stage in sites.up:
        below = above - len(stage.layers)
        views = _Views(stage, features, {depth - below for depth in wanted}, from_end=True)
        whole = above == sites.skip_levels
        yield replace_forward(stage.block, _up_block(features, stage, above, whole, views))
        above = below


def _attach_taps(sites: Sites, features: DeepFeatures, wanted: set[int]) -> Iterator[Undo]:
    """Offer features that pass between two layers of one up block, if some call needs them."""
    below = sites.skip_levels
    for stage in sites.up:
        for layer in stage.layers[:-1]:
            below -= 1
            if below in wanted:
                yield watch(layer[-1], "register_forward_hook", _tap(features, below))
        below -= 1


def _tap(features: DeepFeatures, depth: int) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        features.offer(depth, output[0] if isinstance(output, tuple) else output)

    return hook


def _down_block(features: DeepFeatures, stage: Stage, first: int, views: _Views) -> Wrap:
    """Wrapper of a down block that runs levels `first` and up; each layer gives one skip
    connection.
    """

    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            count = min(len(stage.layers), max(0, features.depth - first))
            if count == len(stage.layers):
                return original(*args, **kwargs)
            hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
            nothing = hidden.new_zeros(())
            if count == 0:
                return nothing, (nothing,) * len(stage.layers)
            part = views.made[count]
            if count < len(cast(nn.ModuleList, stage.block.resnets)):
                kwargs.pop("additional_residuals", None)  # A T2I-Adapter's, for the last of them.
            _, skips = type(part).forward(part, *args, **kwargs)
            return nothing, (*skips, *(nothing,) * (len(stage.layers) - count))

        return forward

    return make


def _mid(features: DeepFeatures) -> Wrap:
    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if features.depth != FULL:
                return hidden_states.new_zeros(())
            return original(hidden_states, *args, **kwargs)

        return forward

    return make


def _up_block(features: DeepFeatures, stage: Stage, above: int, first: bool, views: _Views) -> Wrap:
    """Wrapper of an up block with `above` levels from its first layer to the end, so it is entered
    at that depth.
    """
    below = above - len(stage.layers)

    def make(original: Forward) -> Forward:
        def forward(
            hidden_states: Tensor, res_hidden_states_tuple: Any, *args: Any, **kwargs: Any
        ) -> Any:
            count = min(len(stage.layers), max(0, features.depth - below))
            if count == 0:
                return hidden_states
            if features.depth <= above:
                hidden_states = cast(Tensor, features.value)
            elif first:  # Here and not at the mid block: ControlNet adds to it before.
                features.offer(above, hidden_states)
            if count == len(stage.layers):
                output = original(hidden_states, res_hidden_states_tuple, *args, **kwargs)
            else:
                part = views.made[count]
                skips = res_hidden_states_tuple[:count]
                output = type(part).forward(part, hidden_states, skips, *args, **kwargs)
            if below:
                features.offer(below, output)
            return output

        return forward

    return make


class _Views:
    """Views of a block with some of its layers; parameters and inner modules are shared.

    They are made beforehand, so that compiled code meets the same module at every call. They are
    made again if another layer is put into the block.
    """

    def __init__(
        self, stage: Stage, features: DeepFeatures, counts: set[int], from_end: bool
    ) -> None:
        self.block, self.from_end = stage.block, from_end
        partial = {count for count in counts if 0 < count < len(stage.layers)}
        if partial and hasattr(stage.block, "_diffusers_hook"):
            raise StrategyError(
                f"{stage.name} has a diffusers hook (group offloading by blocks, say), which a "
                "part of the block would not pass through; offload by leaves "
                '(offload_type="leaf_level"), or use depths that end between blocks'
            )
        self.made = {count: self._make(count) for count in partial}
        if partial:
            features.views.append(self)

    def _slice(self, count: int) -> slice:
        return slice(-count, None) if self.from_end else slice(0, count)

    def _make(self, count: int) -> nn.Module:
        return _part(self.block, self._slice(count), with_tail=self.from_end)

    def check(self) -> None:
        """Replace views that no longer show the block as it is."""
        for count, view in self.made.items():
            plain = {k: v for k, v in vars(self.block).items() if k not in ("_modules", "forward")}
            view.__dict__.update(plain)  # FreeU's settings, for one.
            for name in ("resnets", "attentions"):
                whole, part = getattr(self.block, name, None), getattr(view, name, None)
                if whole is not None and [*whole][self._slice(count)] != [*cast(Any, part)]:
                    self.made[count] = self._make(count)
                    break


def _part(block: nn.Module, layers: slice, with_tail: bool) -> nn.Module:
    view = copy.copy(block)
    modules = dict(block._modules)
    for name in ("resnets", "attentions"):
        if modules.get(name) is not None:
            modules[name] = nn.ModuleList(list(cast(nn.ModuleList, modules[name]))[layers])
    if not with_tail:
        modules["downsamplers"] = None
    view.__dict__["_modules"] = modules
    return view
