"""Searches of folders with pipelines of the family `transformer`, and of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import strategies
from accel import cli as accel_cli
from accel.models import calls, precision
from accel.models.config import frame_places
from accel.models.resolve import resolve_model
from evaluate.images import image_files
from evaluate.images.appearance import appearance_of
from evaluate.images.generation import to_pixels
from evaluate.images.thumbnails import encode_thumbnail
from evaluate.metrics import METRICS, default_metrics
from evaluate.metrics.videos.temporal_error import temporal_error
from evaluate.networks import Networks
from evaluate.statistics.gaussian import ScoreError
from search import cli
from search import config as configuration
from search.study.study import Study
from strategies import StrategyError
from tests.support.pipelines import stack_pipelines as stack_pipes
from tests.support.pipelines.whole_stack_pipelines import PARTS, build, saved

pytestmark = pytest.mark.usefixtures("few_turns")
SETTING = ["--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "2"]
SETTING += ["--batch", "2", "--size", "32", "--steps", "3", "--base-steps", "4"]
SETTING += ["--objective", "psnr", "--objective", "latency", "--budget", "5evals"]
FAST = ("qwen", "wan")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in FAST else [pytest.mark.slow]) for n in PARTS]
)
def test_a_folder_is_searched(name: str, folders: Path, tmp_path: Path) -> None:
    """In the default space of its family, with the settings of its own call."""
    run = tmp_path / "run"
    moving = name in ("wan", "ltx")
    video = ["--frames", "9", "--scored-frames", "0,1,2,8"] if moving else []
    given = ["--model", str(saved(folders, name)), *SETTING, *video, "--out", str(run)]
    assert cli.main(given) == 0
    settings = configuration.read_search_config(run)
    guided = name != "flux2"
    assert settings.model.space == ("transformer-all" if guided else "transformer-unguided")
    own = {"qwen": 4.0, "flux2-klein": 4.0, "flux2": 4.0, "ltx": 3.0}
    assert settings.model.guidance == own.get(name, 5.0)
    rows = Study(run / "study.journal").evaluations
    assert len(rows) == 5
    assert all(row.succeeded and row.scores["psnr"] > 0 for row in rows)
    assert any("deltacache" in row.strategy.methods for row in rows)
    table = pd.read_csv(run / "front.csv")
    assert ("temporal_error" in table.columns) == moving
    one = strategies.load(run / "strategies" / "fastest.json")
    assert one.family == "transformer"
    if moving:
        shapes = {
            image_files.read_image(path).shape for path in run.rglob("unaccelerated/**/*.png")
        }
        assert shapes == {(4, 32, 32, 3)}
        assert np.isfinite(table["temporal_error"]).all()
        assert all(row.scores["temporal_error"] >= 0 for row in rows)


def test_defaults_of_a_call(folders: Path) -> None:
    """Qwen-Image's guidance is its true one, and needs a negative prompt to work."""
    _, qwen = resolve_model(str(saved(folders, "qwen")), "cpu")
    assert (qwen.guidance, qwen.arguments) == (4.0, {"negative_prompt": " "})
    assert (qwen.height, qwen.width, qwen.frames) == (1024, 1024, 0)
    _, z_image = resolve_model(str(saved(folders, "z-image")), "cpu")
    assert (z_image.height, z_image.guidance) == (1024, 5.0)
    _, wan = resolve_model(str(saved(folders, "wan")), "cpu")
    assert (wan.height, wan.width, wan.frames, wan.batch) == (480, 832, 81, 1)
    assert wan.places == [0, 20, 40, 60, 80]
    with pytest.raises(StrategyError, match="generates images, not videos of 5 frames"):
        resolve_model(str(saved(folders, "qwen")), "cpu", changes={"frames": 5})
    with pytest.raises(StrategyError, match="scored_frames is '9,3'"):
        resolve_model(str(saved(folders, "wan")), "cpu", changes={"scored_frames": "9,3"})


def test_generate_writes_images_alone(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy = tmp_path / "one.json"
    strategies.save(stack_pipes.strategy("wan", {"deltacache": {"depth": 0}}), strategy)
    given = ["generate", "--model", str(saved(folders, "wan")), "--strategy", str(strategy)]
    assert accel_cli.main([*given, "--prompt", "x", "--out", str(tmp_path / "x.png")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "WanPipeline, which generates videos" in line


def test_precision_is_that_of_the_weights(folders: Path, tmp_path: Path) -> None:
    """On a GPU, bfloat16 where the weights are; newer transformers overflow in float16."""
    plain = saved(folders, "wan")
    assert precision.of_model(str(plain), "cpu") == "float32"
    assert precision.of_model(str(plain), "cuda:0") == "float16"
    build("wan").to(torch.bfloat16).save_pretrained(tmp_path / "half")
    assert precision.of_model(str(tmp_path / "half"), "cuda:0") == "bfloat16"
    assert precision.of_model("owner/name", "cuda:0") == "float16"


def test_words_of_guidance() -> None:
    words = {
        name: calls.guidance_word(stack_pipes.build(name)) for name in ("qwen", "flux2", "wan")
    }
    assert words == {"qwen": "true_cfg_scale", "flux2": "guidance_scale", "wan": "guidance_scale"}
    assert not calls.needs_image(stack_pipes.build("flux2"))


def test_places_of_frames() -> None:
    assert frame_places("all", 4) == [0, 1, 2, 3]
    assert frame_places("1", 9) == [4]
    assert frame_places("3", 9) == [0, 4, 8]
    assert frame_places("0, 1,8", 9) == [0, 1, 8]
    for wrong in ("0", "10", "1,1", "3,9", "2,1", "some", "-1", ""):
        with pytest.raises(ValueError, match="in ascending order"):
            frame_places(wrong, 9)


def video(seed: int, frames: int = 3) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (frames, 16, 16, 3), dtype=np.uint8)


def test_a_video_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = video(0)
    with (tmp_path / "one.png").open("wb") as file:
        image_files.write_png(one, file)
    assert np.array_equal(image_files.read_image(tmp_path / "one.png"), one)
    assert Image.open(tmp_path / "one.png").size == (48, 16)
    assert appearance_of(one)[:2] == [16, 16]
    assert encode_thumbnail(one)[:4] == b"\x89PNG"
    drawn = torch.rand(2, 3, 3, 16, 16)
    assert to_pixels(drawn).shape == (2, 3, 16, 16, 3)
    assert np.array_equal(to_pixels(drawn)[1, 2], to_pixels(drawn[1])[2])


def test_features_of_a_video_are_the_mean_over_its_frames() -> None:
    networks = Networks()

    def network(images: Any, texts: Any) -> Any:
        assert len(texts) in (0, len(images))
        return np.array([[image.mean(), image.shape[0]] for image in images])

    networks.loaded["bundled"] = network
    one, still = video(0), video(1, 1)[0]
    found = networks.extract("bundled", [one, still, one[:2]], ["a", "b", "c"])
    wanted = [np.mean([frame.mean() for frame in one]), still.mean(), one[:2].mean()]
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-6)
    compared = METRICS["psnr"].compare
    assert compared is not None
    value, psnr = compared(networks), METRICS["psnr"]
    by_hand = np.mean([value(a, b) for a, b in zip(one, video(2), strict=True)])
    assert value(one, video(2)) == pytest.approx(by_hand)
    assert not psnr.video


def test_temporal_error_is_of_changes_alone() -> None:
    one = video(0) // 2
    assert temporal_error(one, one) == 0
    assert temporal_error(one + 50, one) == 0  # Off by the same amount in every frame.
    flicker = one.copy()
    flicker[1] += 10
    assert temporal_error(flicker, one) == 10
    for wrong in (one[0], one[:1]):
        with pytest.raises(ScoreError, match="at least two frames"):
            temporal_error(wrong, wrong)
    assert METRICS["temporal-error"] in default_metrics(None, video=True)[0]
    assert METRICS["temporal-error"] not in default_metrics(None)[0]


def test_temporal_error_needs_a_video_model(folders: Path, tmp_path: Path, capsys: Any) -> None:
    given = ["--model", str(saved(folders, "qwen")), *SETTING, "--out", str(tmp_path / "run")]
    given[given.index("psnr")] = "temporal-error"
    assert cli.main(given) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "temporal-error compares neighbouring frames of videos" in line
