"""Our methods beside the published packages, on the same tiny pipelines."""

from __future__ import annotations

from typing import Any

import pytest
import tomesd
import torch
from DeepCache import DeepCacheSDHelper
from tgate import TgateSDLoader, TgateSDXLLoader
from tomesd.merge import bipartite_soft_matching_random2d

import accel
from accel.solvers import schedulers
from tests.support.pipelines.unet_pipelines import STEPS, build, draw, once, spread, strategy

SOLVERS = [
    "DDIMScheduler",
    "PNDMScheduler",
    "EulerDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
]


INTERVALS = (2, 3, 5)


def check_deepcache(pipe: Any, solver: str, branch: int, interval: int) -> None:
    """Bit-equal: depth d is the package's branch d - 1.

    The package finds its place by the first equal timestep, so PNDM's repeated one counts as the
    same call there; a strategy's lists go by the number of the call.
    """
    calls = schedulers.count_calls(pipe.scheduler, solver, STEPS)
    pipe.scheduler = schedulers.make(pipe.scheduler, solver)
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


@pytest.mark.parametrize(("solver", "branch", "interval"), once(SOLVERS, range(12), INTERVALS))
def test_deepcache_equals_the_package(solver: str, branch: int, interval: int) -> None:
    check_deepcache(build("long"), solver, branch, interval)


@pytest.mark.parametrize(("solver", "branch", "interval"), once(SOLVERS, range(9), INTERVALS))
def test_deepcache_equals_the_package_on_sdxl(solver: str, branch: int, interval: int) -> None:
    check_deepcache(build("long-xl"), solver, branch, interval)


PAIRS = [(0.25, 2), (0.5, 2), (0.75, 2), (0.8, 4)]  # Ratio and stride.


@pytest.mark.parametrize(
    ("model", "pair", "size"), spread(["sd1", "sdxl"], PAIRS, [(32, 32), (24, 40)], every=3)
)
def test_tome_equals_the_package(
    model: str, pair: tuple[float, int], size: tuple[int, int]
) -> None:
    """Equal but for the order of sums: the package sorts its sources in no particular order."""
    ratio, stride = pair
    pipe, settings = build(model), {"height": size[0], "width": size[1]}
    plain = draw(pipe, **settings)
    largest = 1 if model == "sd1" else 2  # XL has no self-attention on the latents' own grid.
    tomesd.apply_patch(
        pipe, ratio=ratio, max_downsample=largest, sx=stride, sy=stride, use_rand=False
    )
    theirs = draw(pipe, **settings)
    tomesd.remove_patch(pipe)
    assert torch.equal(draw(pipe, **settings), plain)
    with accel.accelerated(pipe, strategy({"tome": {"ratio": ratio, "stride": stride}})):
        ours = draw(pipe, **settings)
    difference = (ours - theirs).norm() / (theirs - plain).norm()
    assert difference < 1e-3, difference


def merge_above(block: Any, grid: Any, threshold: float, counts: list[int]) -> list[Any]:
    """Token merging with the package's functions, as many pairs as reach the threshold."""
    seen: dict[str, Any] = {}
    original = block.attn1.forward

    def attend(tokens: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        height, width = seen["grid"]
        metric = seen["metric"]
        unit = metric / metric.norm(dim=-1, keepdim=True)
        places = torch.arange(height * width).reshape(height, width)
        chosen = places[::2, ::2].flatten()
        others = torch.tensor([p for p in places.flatten() if p not in chosen])
        best = (unit[0, others] @ unit[0, chosen].T).amax(dim=-1)
        count = sum(float(value) >= threshold for value in best)
        counts.append(count)
        merge, unmerge = bipartite_soft_matching_random2d(
            metric, width, height, 2, 2, count, no_rand=True
        )
        return unmerge(original(merge(tokens), *args, **kwargs))

    def see_grid(_: Any, args: Any, kwargs: Any) -> None:
        seen["grid"] = (args[0] if args else kwargs["hidden_states"]).shape[-2:]

    block.attn1.forward = attend
    return [
        grid.register_forward_pre_hook(see_grid, with_kwargs=True),
        block.norm1.register_forward_pre_hook(lambda _, args: seen.update(metric=args[0])),
    ]


@pytest.mark.parametrize("threshold", [0.6, 0.75])
def test_catome_at_every_call_is_tome_by_threshold(threshold: float) -> None:
    """Without guidance there is one row, so the package's one count for a batch is its own."""
    pipe = build("long")
    plain = draw(pipe, guidance_scale=1.0)
    accel.apply(pipe, strategy({"catome": {"threshold": threshold}}))
    ours = draw(pipe, guidance_scale=1.0)
    mine = [was - kept for r in accel.stats(pipe) for was, kept in r.tokens.values()]
    accel.remove(pipe)
    counts: list[int] = []
    for block in (pipe.unet.down_blocks[0], pipe.unet.up_blocks[3]):
        for grid in block.attentions:
            merge_above(grid.transformer_blocks[0], grid, threshold, counts)
    theirs = draw(pipe, guidance_scale=1.0)
    assert counts == mine
    assert len(set(counts)) > 3
    assert (ours - theirs).norm() < 1e-3 * (theirs - plain).norm()


def test_catome_between_checkpoints_reuses_the_pairs() -> None:
    pipe = build("long")
    accel.apply(pipe, strategy({"catome": {"threshold": 0.5, "checkpoints": [0, 2, 5]}}))
    draw(pipe, guidance_scale=1.0)
    kept = [record.tokens for record in accel.stats(pipe)]
    assert kept[0] == kept[1]
    assert kept[2] == kept[3] == kept[4]
    assert kept[1] != kept[2]
    computed = [i for i, record in enumerate(accel.stats(pipe)) if not record.reused]
    assert computed == [0, 2, 5]


GATES = [(3, 1, 1, 0), (3, 2, 1, 0), (4, 2, 2, 1), (3, 3, 2, 0), (2, 1, 1, 2)]


@pytest.mark.parametrize(("model", "plan"), spread(["sd1", "sd2", "sdxl"], GATES, every=3))
def test_tgate_equals_the_package(model: str, plan: tuple[int, int, int, int]) -> None:
    """Bit-equal; the package leaves its modules patched, so each gets a pipeline of its own."""
    gate, early, late, warmup = plan
    loader = TgateSDXLLoader if model == "sdxl" else TgateSDLoader
    names = ("gate_step", "sp_interval", "fi_interval", "warm_up")
    settings = dict(zip(names, (gate, early, late, warmup), strict=True))
    theirs = loader(build(model), **settings, num_inference_steps=STEPS).tgate(
        "a large red circle",
        **settings,
        num_inference_steps=STEPS,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
    )
    pipe = build(model)
    knobs = {"gate": gate, "self_interval": early, "late_interval": late, "warmup": warmup}
    accel.apply(pipe, strategy({"tgate": knobs}))
    assert torch.equal(draw(pipe), theirs.images)
