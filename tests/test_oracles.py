"""Our methods beside the published packages, on the same tiny pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import tomesd
import torch
from DeepCache import DeepCacheSDHelper

import accel
from accel import schedulers
from tests.pipes import STEPS, draw, strategy

SOLVERS = ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("branch", [0, 1, 2, 4, 8, 11])
def test_deepcache_equals_the_package(pipe: Any, solver: str, branch: int) -> None:
    """Bit-equal: depth d is the package's branch d - 1.

    The package finds its place by the first equal timestep, so PNDM's repeated one counts as the
    same call there; a strategy's lists go by the number of the call.
    """
    calls = schedulers.count_calls(pipe.scheduler, solver, STEPS)
    pipe.scheduler = schedulers.make(pipe.scheduler, solver)
    for interval in (2, 3):
        helper = DeepCacheSDHelper(pipe=pipe)
        helper.set_params(cache_interval=interval, cache_branch_id=branch)
        helper.enable()
        theirs = draw(pipe)
        helper.disable()
        times = pipe.scheduler.timesteps.tolist()
        places = [times.index(time) for time in times]
        depth = ["full" if place % interval == 0 else branch + 1 for place in places]
        assert len(depth) == calls
        one = strategy({"deepcache": {"depth": depth}}, calls, STEPS, solver)
        with accel.accelerated(pipe, one):
            assert torch.equal(draw(pipe), theirs)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_tome_equals_the_package(pipe: Any, ratio: float, size: tuple[int, int]) -> None:
    """Equal but for the order of sums: the package sorts its sources in no particular order."""
    settings = {"height": size[0], "width": size[1]}
    plain = draw(pipe, **settings)
    tomesd.apply_patch(pipe, ratio=ratio, max_downsample=1, use_rand=False)
    theirs = draw(pipe, **settings)
    tomesd.remove_patch(pipe)
    assert torch.equal(draw(pipe, **settings), plain)
    with accel.accelerated(pipe, strategy({"tome": {"ratio": ratio}})):
        ours = draw(pipe, **settings)
    difference = (ours - theirs).norm() / (theirs - plain).norm()
    assert difference < 1e-3, difference
