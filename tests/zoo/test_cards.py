"""Cards: written from the files that ship, with the pipeline in single precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo import card
from zoo.subjects import SHAPES


def test_a_card_is_of_the_shipped_pipeline_in_single_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files hold half precision, and parts that are loaded as such do not fit the others."""
    target, seen = tmp_path / "tiny-sd", set[torch.dtype]()
    shutil.copytree(zoo.folder("tiny-sd"), target)
    kept = json.loads((target / "card.json").read_text())

    def draw(pipe: Any, captions: list[str], guidance: float) -> torch.Tensor:
        for part in (pipe.unet, pipe.text_encoder, pipe.vae):
            seen.update(weight.dtype for weight in part.parameters())
        return torch.rand(len(captions), 3, 32, 32)

    monkeypatch.setattr(card, "draw", draw)
    monkeypatch.setattr(
        card, "judges", lambda *_: {k: kept[k] for k in kept if "_on_" in k or "psnr" in k}
    )
    card.write_card(target, zoo.folder("tiny-sd"), 7, 10, SHAPES.open(tmp_path, None))
    assert seen == {torch.float32}
    assert "of the judge about 10 generated images" in (target / "README.md").read_text()
    assert json.loads((target / "card.json").read_text())["images_seen"] == 7
