"""Every preset, made again from what its paper prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import accel
import strategies
import zoo
from accel.solvers import schedulers
from strategies.methods.deepcache import DeepCache
from strategies.solvers import ONE_EACH, TWO_EACH, calls_of
from zoo import untrained

CALLS = 51
FOLDER = Path(strategies.__file__).parent / "presets"

# DaTo, Table 6 ("Ours-b1"), row by row as printed: timesteps 49 to 25, then 24 to 0.
CACHE_ID = """
1 1 1 1 1 1 1 1 12 1 1 1 1 1 1 1 1 0 0 12 1 1 1 1 1
0 1 12 0 1 1 12 0 0 1 1 1 1 1 1 1 1 1 12 1 1 1 1 1 0
"""
PRUNING_RATIO = """
0.7 0.5 0.4 0.4 0.3 0.5 0.6 0.5 0.6 0.5 0.5 0.3 0.6 0.5 0.5 0.4 0.7 0.3 0.6 0.5 0.5 0.3 0.4 0.3 0.4
0.3 0.6 0.5 0.6 0.3 0.6 0.6 0.3 0.3 0.5 0.6 0.4 0.4 0.3 0.4 0.4 0.5 0.3 0.5 0.6 0.7 0.6 0.5 0.6 0.5
"""

# CA-ToMe, Table II.
CHECKPOINTS = {
    "config-1": "[0,1,2,3,5,10,15,25,35]",
    "config-2": "[0,10,11,12,15,20,25,30,35,45]",
    "config-3": "[0,8,11,13,20,25,30,35,45,46,47,48,49]",
    "config-4": "[0,9,13,14,15,28,29,32,36,45]",
    "adaptive": "[0,1,5,7,10,12,15,35,40,45,46-51]",
    "five": "[0,5,10,15,20,25,30,35,40,45,50]",
}


def dato_b1() -> dict[str, Any]:
    cache, ratio = CACHE_ID.split(), [float(word) for word in PRUNING_RATIO.split()]
    assert len(cache) == len(ratio) == 50
    depth: list[Any] = ["full"]
    for identity in cache:
        depth.append("full" if identity == "12" else int(identity))
    ratios = [ratio[max(call - 1, 0)] for call in range(CALLS)]
    ratios[1] = ratio[1]  # The second call is at the second timestep, as is the third.
    return {
        "deepcache": {"depth": depth},
        "dato": {"ratio": ratios, "patch": 2, "align_cfg": True},
    }


def catome(printed: str) -> dict[str, Any]:
    calls = set()
    for word in printed.strip("[]").split(","):
        first, _, last = word.partition("-")
        for checkpoint in range(int(first), int(last or first) + 1):
            calls.add(max(checkpoint - 1, 0))
    return {"catome": {"threshold": 0.7, "checkpoints": sorted(calls)}}


def uniform(interval: int) -> dict[str, Any]:
    return {"deepcache": DeepCache.uniform(CALLS, interval)}


def fora(interval: int) -> dict[str, Any]:
    """Figure 3: computed where the interval divides t, which counts down to 0, and at the start."""
    full = [t == 249 or t % interval == 0 for t in range(249, -1, -1)]
    return {"fora": {"attn": full, "cross": full, "mlp": full}}


def cat(steps: int) -> dict[str, Any]:
    """Section 3.1: from the ninth step on, 70 % of the tokens are pruned."""
    return {
        "cat": {"alpha": [0.3 if step >= 9 else 1.0 for step in range(1, steps + 1)], "start": 8}
    }


def guided(modes: list[str], **knobs: Any) -> dict[str, Any]:
    return {"guidance": {"mode": modes} | knobs}


def interval() -> dict[str, Any]:
    """Guidance at noise levels in (0.28, 5.42], of Stable Diffusion XL's 50 Euler steps."""
    from diffusers import EulerDiscreteScheduler

    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    solver = EulerDiscreteScheduler(steps_offset=1, timestep_spacing="leading", **noise)
    solver.set_timesteps(50)
    levels = solver.sigmas.tolist()[:50]
    return guided(["full" if 0.28 < level <= 5.42 else "off" for level in levels])


# cache-dit 1.5.3, the masks of 28 steps: runs of computed and of reused steps.
MASKS = {
    "slow": "11111111 0 111 00 111 00 11 00 1 000 1",
    "medium": "111111 0 11 000 11 000 11 000 11 000 1",
    "fast": "111111 0 1 000 1 0000 1 00000 1 0000 1",
    "ultra": "1111 00 1 00000 1 000000 1 0000000 1",
}


def masked(printed: str) -> dict[str, Any]:
    """One block ahead of the cache at the steps that are reused."""
    steps = printed.replace(" ", "")
    return {"deltacache": {"depth": ["full" if step == "1" else 1 for step in steps]}}


PUBLISHED: dict[str, dict[str, Any]] = {
    "dato-b1": dato_b1(),
    **{f"deepcache-n{interval}": uniform(interval) for interval in (2, 3, 5, 10)},
    **{f"tome-{ratio}": {"tome": {"ratio": float(ratio)}} for ratio in ("0.3", "0.5", "0.7")},
    **{f"catome-{name}": catome(printed) for name, printed in CHECKPOINTS.items()},
    "deepcache-n5-tome-0.5": uniform(5) | {"tome": {"ratio": 0.5}},
    **{f"fora-n{interval}": fora(interval) for interval in (2, 3, 5, 7)},
    **{f"cat-{net}-{steps}": cat(steps) for net in ("sd3", "pixart") for steps in (28, 50)},
    "guidance-interval": interval(),
    "adaptive-guidance-gate": guided(["full"] * 10 + ["off"] * 10),
    "ag-linear": guided(
        ["full", "reuse"] * 5 + ["reuse"] * 10,
        fade=0.7,
    ),
    **{f"cache-dit-{name}": masked(printed) for name, printed in MASKS.items()},
}
GUIDED = {
    "guidance-interval": ("EulerDiscreteScheduler", 50),
    "adaptive-guidance-gate": ("DPMSolverMultistepScheduler", 20),
    "ag-linear": ("DPMSolverMultistepScheduler", 20),
}
UNET = {"family": "unet", "scheduler": "PNDMScheduler", "steps": 50, "calls": CALLS}
DIT = {"family": "dit", "scheduler": "DDIMScheduler", "steps": 250, "calls": 250}


def made_for(name: str) -> dict[str, Any]:
    if name in GUIDED:
        scheduler, steps = GUIDED[name]
        return {"family": "unet", "scheduler": scheduler, "steps": steps, "calls": steps}
    if "fora" in name:
        return DIT
    if "cache-dit" in name:
        scheduler = "FlowMatchEulerDiscreteScheduler"
        return {"family": "mmdit", "scheduler": scheduler, "steps": 28, "calls": 28}
    if "cat-" not in name:
        return UNET
    family = "mmdit" if "sd3" in name else "dit"
    solver = "FlowMatchEulerDiscrete" if "sd3" in name else "DPMSolverMultistep"
    steps = int(name[-2:])
    scheduler = f"{solver}Scheduler"
    return {"family": family, "scheduler": scheduler, "steps": steps, "calls": steps}


def test_the_presets_are_these() -> None:
    assert strategies.presets() == sorted(PUBLISHED)
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in PUBLISHED}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_is_what_its_paper_prints(name: str) -> None:
    one = strategies.load(name)
    fields = made_for(name)
    made = strategies.Strategy.create(methods=PUBLISHED[name], **fields)
    assert one.methods == made.methods
    assert one.digest == made.digest
    assert one.name == name
    assert {field: getattr(one, field) for field in fields} == fields
    assert set(one.provenance) == {"paper", "table", "mapping"}
    assert (FOLDER / f"{name}.json").read_text() == strategies.dump(one)


def test_figures_that_the_papers_imply() -> None:
    """Counts that were taken from the tables by hand, independently of the mapping above."""
    depth = strategies.load("dato-b1").depths or ()
    assert [depth.count(d) for d in ("full", 1, 0)] == [6, 38, 7]
    assert [call for call, d in enumerate(depth) if d == "full"] == [0, 9, 20, 28, 32, 44]
    third: Any = strategies.load("catome-config-3").methods["catome"]
    calls = [call for call in range(CALLS) if third.computes(call)]
    assert calls == [0, 7, 10, 12, 19, 24, 29, 34, 44, 45, 46, 47, 48]
    adaptive: Any = strategies.load("catome-adaptive").methods["catome"]
    assert adaptive.checkpoints[-7:] == (44, 45, 46, 47, 48, 49, 50)
    assert (
        "counts its inference steps from 1" in strategies.load("catome-five").provenance["mapping"]
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_fit_a_pipeline_of_their_family(name: str) -> None:
    one = strategies.load(name)
    models = {"unet": "tiny-sd", "dit": "tiny-pixart"}
    pipe = zoo.load(models[one.family]) if one.family in models else untrained.load_untrained("sd3")
    assert schedulers.count_calls(pipe.scheduler, one.scheduler, one.steps) == one.calls
    with accel.accelerated(pipe, one, set_scheduler=True):
        assert type(pipe.scheduler).__name__ == one.scheduler


def test_the_table_of_solvers_is_what_they_do() -> None:
    current = zoo.load("tiny-sd").scheduler
    names = ONE_EACH | TWO_EACH | {"PNDMScheduler"}
    if importlib.util.find_spec("torchsde") is None:  # Nothing of this project installs it.
        names -= {"DPMSolverSDEScheduler"}
    for name in sorted(name for name in names if not name.startswith("FlowMatch")):
        for steps in (4, 10):
            assert schedulers.count_calls(current, name, steps) == calls_of(name, steps), name
    flow = untrained.load_untrained("sd3").scheduler
    for name in ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"):
        assert schedulers.count_calls(flow, name, 10) == calls_of(name, 10), name


@pytest.mark.parametrize("interval", [2, 3, 5, 7])
def test_fora_presets_at_other_step_counts(interval: int) -> None:
    """Table 3's recomputed shares hold at 100 and 500 steps, and what runs is what it says."""
    one = strategies.load(f"fora-n{interval}")
    for steps in (20, 100, 500):
        other: Any = one.resample(steps=steps).methods["fora"]
        full = [t == steps - 1 or t % interval == 0 for t in range(steps - 1, -1, -1)]
        assert list(other.attn) == list(other.mlp) == full
        assert sum(full) / steps == pytest.approx(1 / interval, abs=2 / steps)
    pipe = zoo.load("tiny-pixart")
    with accel.accelerated(pipe, one.resample(steps=20)):
        pipe(**zoo.MODELS["tiny-pixart"], prompt="a ring", num_inference_steps=20)
        ran = [19 - record.call for record in accel.stats(pipe) if not record.reused]
    assert ran == [19, *range((18 // interval) * interval, -1, -interval)]


def test_a_file_goes_before_a_preset_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    strategies.save(strategies.load("tome-0.3"), "dato-b1")
    assert strategies.load("dato-b1").name == "tome-0.3"


@pytest.mark.parametrize("name", GUIDED)
@pytest.mark.parametrize("steps", [8, 12, 25, 40])
def test_guidance_presets_are_rules_for_any_number_of_steps(name: str, steps: int) -> None:
    """As large a share of guided calls, in the same part of the generation."""
    one = strategies.load(name)
    modes: Any = one.methods["guidance"].mode  # type: ignore[attr-defined]
    other: Any = one.resample(steps=steps).methods["guidance"].mode  # type: ignore[attr-defined]
    share = modes.count("full") / len(modes)
    assert other.count("full") / steps == pytest.approx(share, abs=1 / steps)
    first, last = modes.index("full") / len(modes), 1 - modes[::-1].index("full") / len(modes)
    found = [call for call, mode in enumerate(other) if mode == "full"]
    assert found[0] / steps == pytest.approx(first, abs=1.5 / steps)
    assert (found[-1] + 1) / steps == pytest.approx(last, abs=2 / steps)
