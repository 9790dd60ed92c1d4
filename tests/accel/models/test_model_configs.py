"""The configs of published models: full size without weights, and tiny copies through --source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import yaml

import accel.cli
import evaluate.cli
import search.cli
import zoo
from accel import families
from accel.models.config import Component, available, read_model
from accel.models.random_weights import from_components, network
from accel.models.resolve import resolve_model
from accel.solvers import schedulers
from evaluate.images import prompts
from evaluate.images.generation import run_pipeline
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search import config as configuration
from search import spaces
from strategies import StrategyError
from strategies.data_files.configs import read_config
from tests.support.models.model_commands import COMMANDS, fails
from tests.support.models.model_walk import TWO_IMAGES
from tests.support.pipelines import whole_stack_pipelines
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build
from tests.support.pipelines.whole_stack_pipelines import PARTS

# The tiny pipeline of each model's class, and millions of parameters of its denoiser as published.
PUBLISHED: dict[str, tuple[str, float]] = {
    "sd15": ("sd1", 859.5),
    "sd21": ("sd2", 865.9),
    "sdxl": ("sdxl", 2567.5),
    "sd3-medium": ("sd3", 2000),
    "sd35-medium": ("sd35", 2500),
    "pixart-alpha": ("pixart-alpha", 600),
    "pixart-sigma": ("pixart", 600),
    "dit-xl-2": ("dit", 675),
    "flux-dev": ("flux", 11901.4),
    "flux2-dev": ("flux2", 32000),
    "flux2-klein": ("flux2-klein", 3900),
    "qwen-image": ("qwen", 20430),
    "z-image": ("z-image", 6150),
    "chroma": ("chroma", 8900),
    "wan21-1.3b": ("wan", 1420),
    "ltx": ("ltx", 1920),
}
ROUNDED = {"sd3-medium", "sd35-medium", "pixart-alpha", "pixart-sigma", "flux2-dev", "flux2-klein"}
ROUNDED |= {"qwen-image", "z-image", "chroma", "wan21-1.3b", "ltx"}
TEXT = {"clip-l": 123.1, "clip-h": 340.4, "clip-g": 694.7, "t5-xxl": 4762.3}
TEXT |= {"qwen25-vl-7b": 8292.2, "qwen3-4b": 4022.5, "mistral-small-3": 24011.4, "umt5-xxl": 5681.0}
VIDEOS = {"wan21-1.3b", "ltx"}
EVERY = sorted({*available()} - {*zoo.MODELS})


def tiny(name: str) -> Any:
    """A pipeline of the class of a config, at the smallest width."""
    topology = PUBLISHED[name][0]
    if topology == "pixart-alpha":
        # Its pipeline gives the size and the aspect ratio to networks of 1024 x 1024 pixels alone.
        # The three of them share the width.
        own = {"use_additional_conditions": True, "sample_size": 128}
        width = {"attention_head_dim": 24, "cross_attention_dim": 96}
        parts = transformer("pixart", **own, **width).components
        return diffusers.PixArtAlphaPipeline(**parts)
    if topology in PARTS:
        return whole_stack_pipelines.build(topology)
    return build(topology) if topology in ("sd1", "sd2", "sdxl") else transformer(topology)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def saved(folders: Path, name: str) -> Path:
    target = folders / name
    if not target.exists():
        tiny(name).save_pretrained(target)
    return target


def size(module: Any) -> float:
    """Millions of parameters."""
    return sum(weight.numel() for weight in module.parameters()) / 1e6


def small(name: str) -> dict[str, Any]:
    """The changes that make a config cheap: a tiny text encoder's length, pixels, steps, batch."""
    own = read_model(name).arguments
    arguments = own | ({"max_sequence_length": 16} if "max_sequence_length" in own else {})
    # The tiny VAE halves the sides, DiT's size is fixed, and Flux packs latents by twos.
    size = {} if name == "dit-xl-2" else {"height": 32, "width": 32}
    frames = {"frames": 9, "scored_frames": "2"} if name in VIDEOS else {}
    return {"dtype": "float32", "steps": 3, "batch": 1, "arguments": arguments} | size | frames


def test_every_config_is_in_this_file() -> None:
    assert list(PUBLISHED) != EVERY
    assert sorted(PUBLISHED) == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_the_networks_are_of_the_published_size(name: str) -> None:
    config = read_model(name)
    for part, built in config.components.items():
        if built.kind.endswith("Scheduler"):
            continue
        with torch.device("meta"):
            made = network(built)
        millions = size(made)
        if name == "dit-xl-2" and part == "transformer":
            # diffusers gives every block its own embedding of time and class.
            blocks: Any = made.transformer_blocks
            millions -= 27 * size(blocks[0].norm1.emb)
        if part in ("unet", "transformer"):
            near = 0.15 if name in ROUNDED else 5e-3
            assert millions == pytest.approx(PUBLISHED[name][1], rel=near)
        elif part.startswith("text_encoder"):
            assert millions == pytest.approx(TEXT[built.config], rel=5e-3)


@pytest.mark.parametrize("name", EVERY)
def test_a_local_copy_is_drawn_in_the_configs_setting(name: str, folders: Path) -> None:
    source = saved(folders, name)
    pipe, config = resolve_model(name, "cpu", changes=small(name), source=str(source))
    assert type(pipe).__name__ == config.pipeline
    assert type(pipe.scheduler).__name__ == config.scheduler == read_model(name).scheduler
    assert config.source == str(source.resolve())
    baseline = unaccelerated_strategy(pipe, config.scheduler, config.steps)
    image = run_pipeline(
        pipe, config, baseline, prompts.load_prompts(config.heldout_prompts, 2).first(1)
    )
    frames = (2,) if name in VIDEOS else ()
    assert image.shape == (1, *frames, 3, *((32, 32) if name != "dit-xl-2" else image.shape[2:]))
    assert image.isfinite().all()


@pytest.mark.parametrize("name", EVERY)
def test_a_search_of_a_config_has_its_space_and_its_own_solver(name: str, folders: Path) -> None:
    found = configuration.resolve(name, {"objectives": ["psnr", "latency"]})
    config = read_model(name)
    methods = read_config("spaces", config.space)["methods"]
    assert found.space["composed"] == methods
    assert {key.partition(".")[0] for key in found.space["knobs"]} <= set(methods)
    assert (found.budget, found.images, found.heldout_images) == ("20gpuh", 64, 256)
    family, _ = families.find_sites(tiny(name))
    scheduler = schedulers.make(tiny(name).scheduler, config.scheduler)
    space = spaces.make_space(found.space, family, scheduler)
    assert (config.scheduler, config.steps) in space.calls
    assert space.decode((0,) * len(space.sizes)).family == family


@pytest.mark.parametrize(
    "name", ["sd15", "sdxl", "sd3-medium", "flux-dev", "pixart-alpha", "dit-xl-2"]
)
def test_random_weights_make_the_configs_pipeline(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks shrunk to the tiny pipeline's, as the full ones are too large for a test."""
    parts = tiny(name).components
    shrunk = {}
    for part, built in read_model(name).components.items():
        kept = tmp_path / f"{part}.yaml"
        if built.kind.endswith("Scheduler"):
            kept.write_text(yaml.safe_dump(read_config("networks", built.config)))
        else:
            own = parts[part].config
            plain = json.dumps(own.to_dict() if hasattr(own, "to_dict") else dict(own), default=str)
            values = json.loads(plain)
            kept.write_text(yaml.safe_dump({k: v for k, v in values.items() if k[0] != "_"}))
        shrunk[part] = {"kind": built.kind, "config": str(kept)}
    data = read_model(name).model_dump() | small(name) | {"components": shrunk, "dtype": "bfloat16"}
    written = tmp_path / "own.yaml"
    written.write_text(yaml.safe_dump(data))
    pipe, config = resolve_model(str(written), "cpu", random_weights=True)
    assert type(pipe).__name__ == config.pipeline
    assert torch.get_default_dtype() == torch.float32
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    assert next(denoiser.parameters()).dtype == torch.bfloat16
    baseline = unaccelerated_strategy(pipe, config.scheduler, config.steps)
    image = run_pipeline(
        pipe, config, baseline, prompts.load_prompts(config.heldout_prompts, 2).first(1)
    )
    assert image.shape[:2] == (1, 3)


def test_components_that_do_not_exist_are_named(tmp_path: Path) -> None:
    for part, said in (
        (Component(kind="NoSuchNet", config="sd15-unet"), "'NoSuchNet' is no class"),
        (Component(kind="UNet2DConditionModel", config="nothing"), "network 'nothing' is unknown"),
        (
            Component(kind="AutoencoderKL", config="clip-l"),
            "network clip-l: AutoencoderKL has no hidden_act",
        ),
    ):
        config = read_model("sd15").model_copy(update={"components": {"unet": part}})
        with pytest.raises(StrategyError, match=said):
            from_components(config)


def test_a_source_that_is_not_the_model_is_refused(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dit = saved(folders, "dit-xl-2")
    for main, flags in COMMANDS:
        line = fails(main, capsys, *flags, "--model", "sd15", "--source", dit)
        assert "holds a DiTPipeline, not a StableDiffusionPipeline" in line
        line = fails(main, capsys, *flags, "--model", "sd15", "--source", tmp_path / "none")
        assert "no such folder" in line
        line = fails(main, capsys, *flags, "--model", dit, "--source", dit)
        assert "--source goes with the name of a config" in line
    (tmp_path / "model_index.json").write_text("[]")
    line = fails(*(COMMANDS[0][0], capsys), "--model", "sd15", "--source", tmp_path)
    assert "does not name a pipeline" in line


@pytest.mark.usefixtures("few_turns")
def test_every_command_takes_a_local_copy(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["--model", "sd15", "--source", str(saved(folders, "sd15"))]
    strategy, space = tmp_path / "plain.json", tmp_path / "space.yaml"
    solver = {"scheduler": "PNDMScheduler", "steps": 3, "calls": 4}
    strategy.write_text(json.dumps({"schema": 1, "family": "unet"} | solver))
    knobs = {"deepcache.depth": ["full", 1]}
    space.write_text(
        yaml.safe_dump({"schedulers": ["PNDMScheduler"], "steps": [3], "knobs": knobs})
    )
    drawn = ["--prompt", "a circle", "--height", "32", "--width", "32", "--device", "cpu"]
    drawn += ["--strategy", str(strategy), "--out", str(tmp_path / "one.png")]
    assert accel.cli.main(["generate", *drawn, *source]) == 0
    found = tmp_path / "found.json"
    scored = [*TWO_IMAGES, f"--json={found}", "--strategy", str(strategy), "--dtype", "float32"]
    assert evaluate.cli.main([*scored, "--device", "cpu", *source]) == 0
    assert json.loads(found.read_text())["setting"]["model"] == "sd15"
    searched = ["--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "1"]
    searched += ["--base-steps", "3", "--size", "32", "--batch", "2", "--budget", "3evals"]
    searched += ["--objective", "psnr", "--objective", "macs", "--space", str(space)]
    run = tmp_path / "run"
    assert search.cli.main([*searched, "--dtype", "float32", "--out", str(run), *source]) == 0
    assert configuration.read_search_config(run).model.pipeline == "StableDiffusionPipeline"
    assert list((run / "strategies").glob("*.json"))
    line = fails(search.cli.main, capsys, "--resume", run, "--source", tmp_path)
    assert "--source cannot change in a resumed run" in line
