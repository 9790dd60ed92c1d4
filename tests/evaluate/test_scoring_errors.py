"""Bad input of the scoring command is one line; a broken strategy is no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from evaluate.images import generation
from tests.support.scored_folders import fails


def test_bad_input_is_one_clear_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "tiny-pixart, tiny-portraits, tiny-sd, " in fails(capsys, "--model", "sd99")
    assert "no model_index.json" in fails(capsys, "--model", str(tmp_path))
    assert "there are accuracy, fid" in fails(capsys, "--metrics", "beauty")
    assert "at least 2 images" in fails(capsys, "--images", "1")
    assert "has 2000" in fails(
        capsys, "--model", str(folder), "--images", "2001", "--metrics", "psnr"
    )
    assert "device 'nowhere'" in fails(capsys, "--device", "nowhere")
    assert "must be at least 1" in fails(capsys, "--throughput", "0")
    shown = fails(capsys, "--model", str(folder), "--metrics", "fid")
    assert "inception-2015-12-05.pt" in shown
    assert "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4" in shown
    shown = fails(capsys, "--images", "2", "--repeats", "0", "--reference", str(tmp_path / "x"))
    assert "no folder of images" in shown


def test_a_broken_strategy_is_no_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> torch.Tensor:
        return torch.full((1, 3, 32, 32), float("nan"))

    monkeypatch.setattr(generation, "run_pipeline", broken)
    arguments = ["--model", str(folder), "--images", "2", "--batch", "1", "--metrics", "psnr"]
    assert "NaN or infinite" in fails(capsys, *arguments)
