"""Each kind of file through every command, and the sampler's laws on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support import lora_writers, opened_laws, quantized_writers
from tests.support import original_layout as original
from tests.support.model_walk import walk
from tests.support.opened_models import opened
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build


def test_a_file_of_stable_diffusion(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    file, base = sd1
    assert torch.equal(opened_laws.check(opened(file, base)), opened_laws.draw(build("sd1")))
    found = walk(tmp_path, ["--model", file, "--base", base])
    assert set(found["weights"]) == {"file", "base"}


def test_a_file_of_stable_diffusion_xl(tmp_path: Path) -> None:
    pipe = original.tiny_xl()
    base = original.base_of(pipe, tmp_path / "base")
    file = original.write(original.weights(pipe), tmp_path / "xl.safetensors")
    assert torch.equal(opened_laws.check(opened(file, base)), opened_laws.draw(pipe))
    walk(tmp_path, ["--model", file, "--base", base])


def test_a_file_of_stable_diffusion_3(tmp_path: Path) -> None:
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base")
    file = original.write(original.weights(pipe), tmp_path / "sd3.safetensors")
    assert torch.equal(opened_laws.check(opened(file, base)), opened_laws.draw(pipe))
    walk(tmp_path, ["--model", file, "--base", base], "mmdit")


@pytest.mark.parametrize("kind", ["sd3", "flux"])
def test_a_gguf_transformer(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pipe = transformer(kind)
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    tensors = (
        pipe.transformer.state_dict() if kind == "flux" else original.sd3(pipe.transformer, "")
    )
    file = quantized_writers.gguf(tensors, tmp_path / "model.gguf", arch=kind)
    want = opened_laws.draw(pipe)
    found = opened_laws.check(opened(file, base))
    assert 0 < (found - want).norm() / want.norm() < 0.1
    if kind == "flux":
        walk(tmp_path, ["--model", file, "--base", base], "mmdit")


@pytest.mark.parametrize("kind", ["kohya", "diffusers", "peft"])
def test_a_lora(kind: str, folder: Path, tmp_path: Path) -> None:
    file = dict(lora_writers.files(tmp_path))[kind]
    opened_laws.check(opened(folder, loras=[str(file)]))
    found = walk(tmp_path, ["--model", folder, "--lora", f"{file}=0.7"])
    assert "lora 1" in found["weights"]


def test_a_folder_with_weights_of_torchao(tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    pipe = transformer("flux")
    saved = quantized_writers.torchao(pipe, tmp_path / "model")
    assert torch.equal(opened_laws.check(opened(saved)), opened_laws.draw(pipe))
    walk(tmp_path, ["--model", saved], "mmdit")


def test_a_folder_with_weights_of_quanto(tmp_path: Path) -> None:
    pytest.importorskip("optimum.quanto")
    pipe = transformer("flux")
    saved = quantized_writers.quanto(pipe, tmp_path / "model")
    assert torch.equal(opened_laws.check(opened(saved)), opened_laws.draw(pipe))
    walk(tmp_path, ["--model", saved], "mmdit")
