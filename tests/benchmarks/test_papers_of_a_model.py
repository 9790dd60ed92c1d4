"""The papers' tables from a real model and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.papers import cat, catome, dato, fora
from evaluate.networks.weight_files import VARIABLE
from tests.support.pipelines.unet_pipelines import build
from tests.support.weight_writers import provide
from zoo import untrained

QUICK = ["--images", "3", "--repeats", "1", "--device", "cpu", "--steps", "4"]


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "stratagem"))
    return ["--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "rows.json")]


def rows_of(where: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    rows = json.loads(Path(where[-1]).read_text())["rows"]
    return {(one["row"], one["figure"]): one for one in rows}


@pytest.mark.slow
def test_dato_from_a_model_and_images(
    tmp_path: Path, where: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build("sd1").save_pretrained(tmp_path / "sd")
    provide("inception", tmp_path / "stratagem", monkeypatch)
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        path = tmp_path / "val" / "n0" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(path)
    model = ["--model", str(tmp_path / "sd"), "--reference", str(tmp_path / "val")]
    dato.main([*model, *QUICK, "--size", "32", *where])
    found = rows_of(where)
    for row in ("Original SD", "Ours-b1", "DDIM (10 steps)"):
        assert found[row, "FID"]["ours"] > 0
        assert found[row, "speedup"]["ours"] > 0
    assert found["Original SD", "speedup"]["ratio"] == 1
    assert found["Ours-b1", "FID"]["published"] == 25.40


@pytest.mark.slow
def test_catome_from_a_model(
    tmp_path: Path, where: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build("sd1").save_pretrained(tmp_path / "sd")
    few = {row: plan for row, plan in catome.plans().items() if row in ("0.9", "CONF_3")}
    monkeypatch.setattr(catome, "plans", lambda: few)
    model = ["--model", str(tmp_path / "sd"), "--reference", "self", "--metrics", "psnr"]
    catome.main([*model, *QUICK, "--images", "2", "--size", "32", *where])
    found = rows_of(where)
    assert found["CONF_3", "latency_s"]["ours"] > 0
    assert found["0.9", "latency_s"]["ours"] > 0
    assert found["0.9", "FID"]["ours"] is None  # Not asked for, and said so.
    assert "not scored" in found["0.9", "FID"]["why"]


def test_fora_from_a_model(tmp_path: Path, where: list[str]) -> None:
    untrained.load_untrained("dit").save_pretrained(tmp_path / "dit")
    model = ["--model", str(tmp_path / "dit"), "--reference", "self", "--metrics", "psnr"]
    fora.main([*model, *QUICK, "--images", "2", *where])
    found = rows_of(where)
    assert found["N = 3", "speedup"]["ours"] > 0
    assert found["N = 3", "speedup"]["published"] == 2.80


@pytest.mark.slow
def test_cat_from_a_model(tmp_path: Path, where: list[str]) -> None:
    untrained.load_untrained("sd3").save_pretrained(tmp_path / "sd3")
    model = ["--model", str(tmp_path / "sd3"), "--metrics", "psnr", "--size", "32"]
    cat.main([*model, *QUICK, "--images", "2", "--steps", "12", *where])
    found = rows_of(where)
    assert found["Ours", "TMACs"]["ours"] < found["SD3", "TMACs"]["ours"]
    assert found["AT-EDM", "Parti speedup"]["ours"] > 0
