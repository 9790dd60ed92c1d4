"""Change curves of blocks, by which Block Caching plans.

A change curve says how much a block's contribution changes from call to call. It is the relative L1
change of the block's output minus its input, and hardly depends on the prompt (Wimbauer et al.,
"Cache Me if You Can", arXiv 2312.03209, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from accel import families
from accel.applying import remove
from accel.clock import Clock
from accel.moments import Moments
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all
from accel.sites import Block
from strategies import StrategyError


def change_curves(pipe: Any, runs: Sequence[Callable[[], Any]]) -> dict[str, list[float]]:
    """Measure the change curves of every block of an unaccelerated pipeline.

    A strategy that is applied to the pipeline is removed. This takes the memory of one output per
    block.

    Args:
        pipe: diffusers pipeline of a supported family.
        runs: functions that each make one generation with it, all with equally many calls.

    Returns:
        A curve by block name: one value for each call but the first. It is the mean over the runs
            and the batch of `|added at i + 1 - added at i| / |added at i + 1|`, sums of absolute
            values.

    Raises:
        StrategyError: an unsupported pipeline, or a family without blocks to cache.
    """
    remove(pipe)
    family, sites = families.find_sites(pipe)
    if not sites.blocks:
        raise StrategyError(
            f"{type(pipe).__name__} is of family {family!r}, for which there is no Block Caching; "
            "use a model with a UNet"
        )
    curves: list[dict[str, list[float]]] = []
    for run in runs:
        changes = _Changes(pipe)
        undos: list[Undo] = [replace_forward(b.module, changes.watch(b)) for b in sites.blocks]
        undos.append(replace_forward(sites.denoiser, changes.follow, traced=False))
        try:
            run()
        finally:
            undo_all(undos)
        curves.append(changes.read())
    return {
        name: [fmean(values) for values in zip(*(curve[name] for curve in curves), strict=True)]
        for name in curves[0]
    }


class _Changes:
    """Relative change of every block in one generation."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.clock: Clock | None = None
        self.moments = Moments()
        self._last: dict[tuple[str, int], Tensor] = {}
        self._found: dict[str, dict[int, list[Tensor]]] = {}

    def follow(self, original: Forward) -> Forward:
        """Wrap the denoiser, so that calls are counted."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(("sample", "timestep"), args, strict=False)) | kwargs
            scheduler = self.pipe.scheduler
            if self.clock is None:
                self.clock = Clock(len(scheduler.timesteps))
            moment = self.moments.find(scheduler, given["timestep"], scaled=False, piped=True)
            self.clock.tick(moment, given["sample"])
            return original(*args, **kwargs)

        return forward

    def watch(self, block: Block) -> Callable[[Forward], Forward]:
        """Wrap a block, so that its contribution is compared with that at the call before."""

        def make(original: Forward) -> Forward:
            def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                output = original(hidden_states, *args, **kwargs)
                whole = output[0] if block.in_tuple else output
                self._note(block.name, (whole - block.skip_path(hidden_states)).detach().float())
                return output

            return forward

        return make

    def _note(self, name: str, added: Tensor) -> None:
        assert self.clock is not None
        before = self._last.get((name, self.clock.guidance_pass))
        if before is not None:
            size = added.abs().sum().clamp_min(torch.finfo(added.dtype).tiny)
            change = (added - before).abs().sum() / size
            self._found.setdefault(name, {}).setdefault(self.clock.call, []).append(change)
        self._last[name, self.clock.guidance_pass] = added

    def read(self) -> dict[str, list[float]]:
        return {
            name: [fmean(float(value) for value in calls[call]) for call in sorted(calls)]
            for name, calls in self._found.items()
        }
