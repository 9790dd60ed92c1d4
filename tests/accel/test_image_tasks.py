"""Drawing from images: which pipelines, which calls, which files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import accel
from accel.models import tasks
from accel.models.config import TASKS, TEXT, ModelConfig, Task, read_model
from accel.models.resolve import resolve_model
from evaluate import cli
from evaluate.evaluator import Evaluator, read_prompts
from evaluate.images import input_images, recorded_prompts
from evaluate.images.generation import run_pipeline
from evaluate.speed.latency_table import LatencyTable
from search import cli as search_cli
from search.results import run as runs
from strategies import Strategy, StrategyError
from tests.support.pipelines import transformer_pipelines, unet_pipelines

SOLVERS = ["DDIMScheduler", "PNDMScheduler", "HeunDiscreteScheduler", "EulerDiscreteScheduler"]
FLOW = ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"]
TAKEN = {"sd3": FLOW, "flux": FLOW[:1]}  # FLUX shifts its times, which Heun's class does not.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images, each of its own colours, and their masks."""
    for name in ("inputs", "masks"):
        (tmp_path / name).mkdir()
    noise = np.random.default_rng(0)
    for i in range(10):
        pixels = noise.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "inputs" / f"{i:02d}.png")
        mask = np.zeros((40, 48), np.uint8)
        mask[:, : 4 * (i + 1)] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i:02d}.png")
    return tmp_path


def config(folder: Path, task: Task = "image-to-image", **changes: Any) -> ModelConfig:
    masks = str(folder / "masks") if task == "inpainting" else ""
    given = {"task": task, "inputs": str(folder / "inputs"), "masks": masks} | changes
    return ModelConfig.model_validate(read_model("tiny-sd").model_dump() | given)


def tiny(model: str) -> Any:
    return (
        transformer_pipelines.build(model)
        if model in ("sd3", "flux")
        else unet_pipelines.build(model)
    )


@pytest.mark.parametrize("task", TASKS[1:])
@pytest.mark.parametrize("model", ["sd1", "sdxl", "sd3", "flux"])
def test_calls_are_those_that_the_pipeline_makes(model: str, task: Task) -> None:
    """`skipped` agrees with diffusers' own arithmetic for every solver, step count and strength."""
    made = tasks.convert(tiny(model), task)
    family, _ = accel.families.find_sites(made)
    for solver in TAKEN.get(model, SOLVERS):
        scheduler = accel.solvers.schedulers.make(made.scheduler, solver)
        for steps in (1, 4, 5, 7, 25):
            shift = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
            scheduler.set_timesteps(steps, **shift)
            made.scheduler = scheduler
            for strength in (0.1, 0.3, 0.5, 0.6, 0.75, 1.0):
                left, _ = made.get_timesteps(steps, strength, "cpu")
                expected = len(scheduler.timesteps) - len(left)
                found = tasks.skipped(family, solver, steps, strength)
                assert found == expected or not len(left), (solver, steps, strength)


@pytest.mark.parametrize("task", TASKS[1:])
def test_each_prompt_has_its_image_whatever_the_batch(folder: Path, task: Task) -> None:
    setting = config(folder, task, steps=5)
    evaluator = Evaluator(setting)
    few = evaluator.prompts["heldout"].first(3)
    together = run_pipeline(evaluator.pipe, setting, evaluator.unaccelerated, few)
    alone = [
        run_pipeline(evaluator.pipe, setting, evaluator.unaccelerated, few.at([i]))
        for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=0)
    other = run_pipeline(
        evaluator.pipe, setting, evaluator.unaccelerated, evaluator.prompts["search"].first(3)
    )
    assert not torch.allclose(together, other, atol=1e-2)
    assert together.shape[-2:] == (32, 32)


def test_only_the_last_calls_run(folder: Path) -> None:
    setting = config(folder, steps=10, strength=0.6)
    evaluator = Evaluator(setting)
    strategy = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=10, calls=10,
        methods={"deepcache": {"depth": ["full" if i % 2 == 0 else 2 for i in range(10)]}},
    )  # fmt: skip
    with accel.accelerated(evaluator.pipe, strategy, set_scheduler=True):
        with accel.measuring(evaluator.pipe):
            run_pipeline(evaluator.pipe, setting, strategy, evaluator.prompts["heldout"].first(1))
        calls = [record.call for record in accel.stats(evaluator.pipe)]
    assert calls == list(range(tasks.skipped("unet", "DDIMScheduler", 10, 0.6), 10))


def test_the_two_splits_take_images_from_both_ends(folder: Path) -> None:
    lists = read_prompts(config(folder, "inpainting"))
    assert [Path(one).name for one in lists["heldout"].inputs] == [
        f"{i:02d}.png" for i in range(10)
    ]
    assert lists["search"].inputs == lists["heldout"].inputs[::-1]
    assert [Path(one).name for one in lists["search"].masks[:2]] == ["09.png", "08.png"]
    assert lists["heldout-self"].inputs == lists["heldout"].inputs
    place = folder / f"mine{recorded_prompts.SUFFIX}"
    recorded_prompts.write(lists["search"], place)
    assert recorded_prompts.find_prompts(str(place), 0) == lists["search"]


def test_an_image_that_changes_is_noticed(folder: Path) -> None:
    lists = read_prompts(config(folder))["heldout"]
    before = input_images.marks(lists)
    assert len(set(before)) == 10
    Image.new("RGB", (40, 48)).save(folder / "inputs" / "03.png")
    after = input_images.marks(lists)
    assert [i for i in range(10) if before[i] != after[i]] == [3]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--task", "image-to-image"], "inputs are missing; image-to-image needs a folder of them"),
        (["--task", "inpainting", "--inputs", "IN"], "masks are missing; inpainting needs"),
        (["--inputs", "IN"], "inputs are of no use for text-to-image"),
        (["--task", "image-to-image", "--inputs", "IN", "--strength", "0"], "give more than 0"),
        (["--task", "image-to-image", "--inputs", "IN", "--strength", "0.03"], "leaves no call"),
        (["--task", "image-to-image", "--inputs", "nowhere"], "nowhere: cannot be read"),
        (
            ["--task", "image-to-image", "--inputs", "IN", "--images", "11"],
            "holds 10 images, but 11",
        ),
        (
            ["--model", "tiny-pixart", "--task", "image-to-image", "--inputs", "IN"],
            "has no image-to",
        ),
    ],
)
def test_bad_input_is_one_line(
    flags: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder / "inputs") if flag == "IN" else flag for flag in flags]
    assert cli.main([*given, "--strategy", "tome-0.5", "--repeats", "0"]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.strip().splitlines()) == 1


def test_a_mask_that_is_missing_is_named(folder: Path) -> None:
    (folder / "masks" / "04.png").unlink()
    with pytest.raises(StrategyError, match=r"no mask for 04\.png; give one for each image"):
        read_prompts(config(folder, "inpainting"))


def test_a_pipeline_is_converted_without_copies() -> None:
    pipe = unet_pipelines.build("sd1")
    made = tasks.convert(pipe, "inpainting")
    assert isinstance(made, diffusers.StableDiffusionInpaintPipeline)
    assert made.unet is pipe.unet
    assert tasks.convert(pipe, TEXT) is pipe


def test_a_config_draws_from_images(folder: Path) -> None:
    changes = {"task": "image-to-image", "inputs": str(folder / "inputs"), "steps": 4}
    pipe, setting = resolve_model("tiny-sd", "cpu", changes=changes)
    assert type(pipe).__name__ == "StableDiffusionImg2ImgPipeline"
    assert setting.strength == 0.6


SMALL = [
    *("--base-steps", "8", "--steps", "5,8", "--schedulers", "DDIM", "--workers", "0"),
    *("--images", "3", "--heldout-images", "3", "--rungs", "3", "--export", "2", "--batch", "3"),
    *("--initial", "fewer-steps,grid", "--no-surrogate", "--methods", "deepcache,tome"),
]
FEW = SMALL[: SMALL.index("--methods")]


@pytest.mark.usefixtures("few_turns")
@pytest.mark.parametrize(
    "task", ["image-to-image", pytest.param("inpainting", marks=pytest.mark.slow)]
)
def test_a_search_from_images(task: Task, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command to a strategy file that the same task draws."""
    out, space = folder / "run", folder / "space.yaml"
    knobs = {"deepcache.depth": ["full", 1], "tome.ratio": [0.0, 0.5]}
    space.write_text(yaml.safe_dump({"schedulers": ["DDIM"], "steps": [5, 8], "knobs": knobs}))
    flags = ["--task", task, "--inputs", str(folder / "inputs"), "--strength", "0.5"]
    flags += ["--masks", str(folder / "masks")] if task == "inpainting" else []
    chosen = [*FEW, *flags, "--space", str(space)]
    assert search_cli.main([*chosen, "--budget", "5evals", "--out", str(out)]) == 0
    run = runs.load_run(out)
    assert run.config.model.task == task
    assert len(run.study.evaluations) == 5
    for evaluation in run.study.evaluations:
        one = evaluation.strategy
        first = tasks.skipped("unet", one.scheduler, one.steps, 0.5)
        assert not any(one.kinds()[: first + 1]), "nothing acts before the first call's end"
    table = LatencyTable.model_validate(run.study.noted("table"))
    assert table.share == 0.5
    Image.new("RGB", (40, 48)).save(folder / "inputs" / "00.png")
    capsys.readouterr()
    assert search_cli.main(["--resume", str(out), "--budget", "9evals"]) == 2
    assert "the input images" in capsys.readouterr().err
    (file, *_) = sorted((out / "strategies").glob("0*.json"))
    assert cli.main([*flags, "--strategy", str(file), "--images", "3", "--repeats", "0"]) == 0


def test_a_latency_adds_up_the_calls_that_are_made() -> None:
    one = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=10, calls=10,
        methods={"deepcache": {"depth": ["full", *[0] * 5, "full", 0, 0, "full"]}},
    )  # fmt: skip
    skip, full = one.kinds()[1], ""
    table = LatencyTable(
        fixed=1.0, solver={"DDIMScheduler": 0.25}, kinds={full: 4.0, skip: 0.5}, spread={},
        device="a CPU", share=0.4,
    )  # fmt: skip
    assert table.predict(one) == 1.0 + 4 * 0.25 + 2 * 4.0 + 2 * 0.5


def test_steps_that_leave_no_call_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--task", "image-to-image", "--inputs", str(folder / "inputs"), "--strength", "0.15"]
    assert search_cli.main([*SMALL, *flags, "--out", str(folder / "run")]) == 2
    said = capsys.readouterr().err
    assert "strength 0.15 leaves no call of 5 steps; give a higher --strength, or --steps 8" in said
    assert not (folder / "run").exists()


@pytest.mark.parametrize("count", [["8", "3"], ["3", "8"]])
def test_a_search_needs_an_image_for_each_prompt(
    count: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--task", "image-to-image", "--inputs", str(folder / "inputs")]
    flags += ["--images", count[0], "--rungs", count[0], "--heldout-images", count[1]]
    assert search_cli.main([*SMALL, *flags]) == 2
    assert "holds 10 images, but" in capsys.readouterr().err
