"""Mistakes are told before anything is drawn, all that is missing at once, and leave no folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import strategies
from accel import cli as accel_cli
from evaluate import cli as evaluate_cli
from search import cli as search_cli
from strategies import Strategy

DIT = {"family": "dit", "scheduler": "DDIMScheduler", "steps": 4, "calls": 4}
UNET = {"family": "unet", "scheduler": "DDIMScheduler", "steps": 4, "calls": 4}
FILES: dict[str, dict[str, Any]] = {
    "fine": UNET,
    "dit": DIT,
    "long": UNET | {"steps": 1500, "calls": 1500},
    "miscounted": UNET | {"steps": 5, "calls": 4},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with strategy files and references; whoever draws an image fails the test."""
    for name, given in FILES.items():
        strategies.save(Strategy.create(**given), tmp_path / f"{name}.json")
    for name in ("whole", "text", "cut"):
        (tmp_path / name).mkdir()
        for index in range(2):
            noise = np.random.default_rng(index).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{index}.jpg")
    (tmp_path / "text" / "z.png").write_text("no image")
    cut = tmp_path / "cut" / "1.jpg"
    cut.write_bytes(cut.read_bytes()[:1500])
    np.savez(tmp_path / "statistics.npz", mu=np.zeros(4), sigma=np.eye(4))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRATAGEM_CACHE", str(tmp_path / "cache"))

    def drawn(*_: Any) -> None:
        pytest.fail("an image was drawn first")

    monkeypatch.setattr("evaluate.images.generation.run_pipeline", drawn)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], main: Any, arguments: str) -> str:
    assert main(arguments.split()) == 2
    shown = capsys.readouterr().err
    assert len(shown.strip().splitlines()) == 1, shown
    return str(shown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--strategy dit.json", "dit.json: the strategy is for family 'dit'"),
        ("--strategy fine.json --strategy dit.json", "dit.json: the strategy is for family 'dit'"),
        ("--strategy long.json", "the model was trained on 1000 timesteps; give at most 1000"),
        ("--strategy miscounted.json", "makes 5 calls of the denoiser, but the strategy is for 4"),
        (
            "--strategy fine.json --base-steps 5000",
            "cannot make 5000 steps: the model was trained on",
        ),
        ("--strategy fine.json --size 30", "cannot generate 30 x 30 pixels"),
        ("--strategy fine.json --images 5000", "5000 prompts asked for"),
        ("--strategy fine.json --reference text", "z.png cannot be read as an image"),
        ("--strategy fine.json --reference cut", "1.jpg cannot be read as an image"),
        ("--strategy fine.json --reference statistics.npz --metrics fd", "bundled features of"),
        ("--strategy fine.json --reference none", "'none' is no folder of images"),
        ("--strategy fine.json --reference whole --reference-per-class 1", "holds 1 images"),
        ("--strategy fine.json --prompts none.csv", "'none.csv' cannot be read"),
        ("transfer dit.json --to tiny-sd --base-steps 5000", "the model was trained on 1000"),
        ("transfer fine.json --to tiny-sd --size 30", "cannot generate 30 x 30 pixels"),
        ("transfer fine.json --to tiny-sd --reference text", "z.png cannot be read as an image"),
    ],
)
def test_evaluate_finds_mistakes_before_it_draws(
    arguments: str, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in told(capsys, evaluate_cli.main, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--resample-steps 5000 --strategy fine.json",
            "cannot make 5000 steps: the model was trained on",
        ),
        ("--strategy long.json", "cannot make 1500 steps: the model was trained on 1000"),
        ("--strategy fine.json --height 30", "cannot generate this: `height` and `width`"),
        ("--strategy dit.json", "is for family 'dit'"),
    ],
)
def test_generate_finds_the_same(
    arguments: str, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f"generate --device cpu --prompt x --out x.png {arguments}"
    assert message in told(capsys, accel_cli.main, given)
    assert not (place / "x.png").exists()


def test_all_weights_that_are_missing_are_told_at_once(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accel.models.hub_errors.is_cached", lambda _: False)
    asked = "--model sd15 --strategy fine.json --device cpu --metrics fid,clip-fid"
    shown = told(capsys, evaluate_cli.main, asked)
    for what in ("stable-diffusion-v1-5/", "inception-2015-12-05.pt", "clip-vit-base-patch32"):
        assert what in shown
    asked = "--model sd15 --objective fid --objective clip-fid --objective latency"
    shown = told(capsys, search_cli.main, asked)
    for what in ("stable-diffusion-v1-5/", "inception-2015-12-05.pt", "clip-vit-base-patch32"):
        assert what in shown
    assert "fid and clip-fid need the weights of a published network" in shown
    # What is there is not told.
    assert "fid" not in told(
        capsys, search_cli.main, "--model sd15 --objective psnr --objective macs"
    )
