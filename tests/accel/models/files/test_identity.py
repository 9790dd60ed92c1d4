"""What a strategy was measured on, and what a run goes on with: told, compared and kept apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import accel.cli
import evaluate.cli
import search.cli
from evaluate import model_files
from strategies import save
from tests.support.models import original_layout as original
from tests.support.models.opened_models import SEARCHED
from tests.support.pipelines.unet_pipelines import build, strategy

TOLD = "was measured on another model"


def moved(tensors: dict[str, torch.Tensor], end: str) -> dict[str, torch.Tensor]:
    """The weights with one of them changed."""
    return {key: value + 1 if key.endswith(end) else value for key, value in tensors.items()}


@pytest.fixture
def measured(folder: Path, tmp_path: Path) -> Path:
    """A strategy that was measured on the pipeline of a folder."""
    weights = {name: digest[:16] for name, digest in model_files.model_digests(str(folder)).items()}
    made = strategy({"deepcache": {"depth": ["full", 0, 0]}}, calls=3).model_copy(
        update={
            "scores": {"psnr": 30.0, "images": 2},
            "provenance": {"model": folder.name, "dtype": "float32", "weights": weights},
        }
    )
    path = tmp_path / "measured.json"
    save(made, path)
    return path


def generated(
    made: Path, target: Path, capsys: pytest.CaptureFixture[str], *model: Any
) -> list[str]:
    """Lines about the model, of `generate`."""
    capsys.readouterr()
    asked = ["generate", "--prompt", "a circle", "--height", "32", "--width", "32"]
    asked += ["--device", "cpu", "--strategy", str(made), "--out", str(target / "one.png")]
    assert accel.cli.main([*asked, "--model", *map(str, model)]) == 0
    return [line for line in capsys.readouterr().err.splitlines() if TOLD in line]


def scored(
    made: Path, target: Path, capsys: pytest.CaptureFixture[str], *model: Any
) -> tuple[list[str], list[dict[str, Any]]]:
    """Lines about the model, and the rows, of `evaluate`."""
    capsys.readouterr()
    asked = ["--images", "2", "--metrics", "psnr", "--repeats", "0", "--steps", "3"]
    asked += ["--size", "32", "--device", "cpu", "--dtype", "float32", "--strategy", str(made)]
    asked += [f"--json={target / 'scores.json'}", "--out", str(target / "images")]
    assert evaluate.cli.main([*asked, "--model", *map(str, model)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if TOLD in line]
    return lines, json.loads((target / "scores.json").read_text())["rows"]


def test_a_strategy_of_the_base_is_used_on_a_fine_tune_and_measured_there(
    measured: Path,
    folder: Path,
    sd1: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, base = sd1
    assert generated(measured, tmp_path, capsys, folder) == []
    (line,) = generated(measured, tmp_path, capsys, file, "--base", base)
    assert "than fine-tune (model sd1" in line
    assert "python -m evaluate measures them" in line
    lines, first = scored(measured, tmp_path, capsys, folder)
    assert lines == []
    (line,), rows = scored(measured, tmp_path, capsys, file, "--base", base)
    assert "model sd1; other base, file" in line
    # The file holds the folder's weights, so that the score is the same, and is not the noted one.
    assert rows[1]["psnr"] == first[1]["psnr"] != 30


def test_weights_that_were_trained_further_are_another_model(
    measured: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tmp_path / folder.name  # Under the same name.
    build("sd1").save_pretrained(tuned)
    _, first = scored(measured, tmp_path, capsys, tuned)
    weights = tuned / "unet" / "diffusion_pytorch_model.safetensors"
    original.write(moved(load_file(weights), "conv_out.bias"), weights)
    (line,), second = scored(measured, tmp_path, capsys, tuned)
    assert "(other unet)" in line
    # Kept images of the former weights are not taken for those of the new ones.
    assert first[1]["psnr"] != second[1]["psnr"]
    assert len(list((tmp_path / "images").glob("*-*"))) == 4
    _, third = scored(measured, tmp_path, capsys, tuned)
    assert second == third


@pytest.mark.usefixtures("few_turns")
def test_a_warm_start_of_another_model_is_a_hint(
    measured: Path, sd1: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, base = sd1
    asked = [*SEARCHED, "--out", str(tmp_path / "run"), "--model", str(file), "--base", str(base)]
    assert search.cli.main([*asked, "--budget", "2evals", "--warm-start", str(measured)]) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    assert f"--warm-start {measured}: measured on another model (model sd1; other base" in shown


@pytest.mark.usefixtures("few_turns")
def test_a_run_goes_on_only_with_the_same_file_and_base(
    sd1: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(sd1[0])
    file = original.write(weights, tmp_path / "mine.safetensors")
    base = original.base_of(build("sd1"), tmp_path / "base")
    run = tmp_path / "run"
    asked = [*SEARCHED, "--out", str(run), "--model", str(file), "--base", str(base)]
    assert search.cli.main([*asked, "--budget", "2evals"]) == 0
    again = ["--resume", str(run), "--budget", "3evals"]

    def refused() -> str:
        capsys.readouterr()
        assert search.cli.main(again) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    original.write(moved(weights, "out.2.bias"), file)
    assert f"file of the model ({file})" in refused()
    config = base / "scheduler" / "scheduler_config.json"
    before = config.read_text()
    data = json.loads(before)
    config.write_text(json.dumps(data | {"beta_end": data["beta_end"] * 0.9}))
    assert f"file, base of the model ({file})" in refused()
    original.write(weights, file)
    assert f" base of the model ({file})" in refused()
    config.write_text(before)
    assert search.cli.main(again) == 0
