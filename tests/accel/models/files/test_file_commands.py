"""Every command on a single file, and its fingerprints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import accel
import accel.cli
import evaluate.cli
import search.cli
from accel.models.parts import ModelParts
from evaluate import model_files
from tests.support.models.opened_models import SEARCHED, rewritten


@pytest.mark.usefixtures("few_turns")
def test_every_command_takes_a_file(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    file, base = sd1
    model = ["--model", str(file), "--base", str(base)]
    run = tmp_path / "run"
    assert search.cli.main([*SEARCHED, "--out", str(run), *model, "--budget", "12evals"]) == 0
    (made, *_) = sorted((run / "strategies").glob("*.json"))
    weights = json.loads(made.read_text())["provenance"]["weights"]
    assert set(weights) == {"file", "base"}
    drawn = ["--prompt", "a circle", "--height", "32", "--width", "32", "--device", "cpu"]
    drawn += ["--strategy", str(made), *model]
    assert accel.cli.main(["generate", *drawn, "--out", str(tmp_path / "one.png")]) == 0
    json_file = tmp_path / "scores.json"
    scored = ["--images", "2", "--metrics", "psnr", "--repeats", "0", "--steps", "3"]
    scored += ["--size", "32", "--device", "cpu", "--strategy", str(made), "--dtype", "float32"]
    assert evaluate.cli.main([*scored, f"--json={json_file}", *model]) == 0
    assert json.loads(json_file.read_text())["setting"]["model"] == "fine-tune"
    plan = ["calibrate", "--prompt", "a circle", "--steps", "3", "--device", "cpu", *model]
    assert accel.cli.main([*plan, "--out", str(tmp_path / "plan.json")]) == 0


def test_fingerprints_tell_files_bases_and_parts_apart(
    sd1: tuple[Path, Path], tmp_path: Path
) -> None:
    file, base = sd1
    first = model_files.model_digests(str(file), ModelParts(base=str(base)))
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(file.read_bytes())
    assert model_files.model_digests(str(copy), ModelParts(base=str(base))) == first
    changed = rewritten(file, tmp_path / "other.safetensors", lambda found: {
        key: value + 1 if key.endswith("out.2.bias") else value for key, value in found.items()
    })  # fmt: skip
    second = model_files.model_digests(str(changed), ModelParts(base=str(base)))
    assert second["file"] != first["file"]
    assert second["base"] == first["base"]
