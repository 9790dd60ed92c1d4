"""Single files of whole models: written in their original layout, loaded with a base, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.models import original_layout as original
from tests.support.models.opened_models import opened, refused, rewritten
from tests.support.pipelines.unet_pipelines import build, draw


@pytest.mark.parametrize("name", ["sd1", "sd2", "xl"])
def test_a_file_draws_as_the_pipeline_that_it_was_written_from(name: str, tmp_path: Path) -> None:
    pipe = original.tiny_xl() if name == "xl" else build(name)
    base = original.base_of(pipe, tmp_path / "base")
    file = original.write(original.weights(pipe), tmp_path / "model.safetensors")
    size = {"steps": 2, "height": 32, "width": 32}
    assert torch.equal(draw(pipe, **size), draw(opened(file, base), **size))


def test_a_pruned_file_takes_the_rest_from_its_base(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    file, base = sd1
    only = rewritten(
        file,
        tmp_path / "unet.safetensors",
        lambda found: {k: v for k, v in found.items() if k.startswith(original.UNET)},
    )
    assert "has no text_encoder" in refused(only, base) or "has no vae" in refused(only, base)
    pipe = build("sd1")
    whole = original.base_of(pipe, tmp_path / "whole", weighty=True)
    small = {"steps": 2, "height": 32, "width": 32}
    want = draw(pipe, **small)
    assert torch.equal(want, draw(opened(only, whole), **small))
    half = rewritten(
        file,
        tmp_path / "no-vae.safetensors",
        lambda found: {k: v for k, v in found.items() if not k.startswith(original.VAE)},
    )
    assert torch.equal(want, draw(opened(half, whole), **small))
    assert torch.equal(want, draw(opened(half, base, vae=str(whole)), **small))
    alone = original.write(original.vae(pipe.vae), tmp_path / "vae.safetensors")
    assert torch.equal(want, draw(opened(half, base, vae=str(alone)), **small))
    assert "is an autoencoder" in refused(alone, base)


def test_averaged_weights_are_told_and_not_used(
    sd1: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, base = sd1
    with_ema = rewritten(
        file,
        tmp_path / "ema.safetensors",
        lambda found: found | {f"model_ema.n{i}": torch.ones(1) for i in range(101)},
    )
    small = {"steps": 2, "height": 32, "width": 32}
    assert torch.equal(draw(opened(with_ema, base), **small), draw(opened(file, base), **small))
    told = capsys.readouterr().err.splitlines()
    assert any("EMA" in line and "Stable Diffusion 1.x, F32" in line for line in told)


def test_what_does_not_fit_is_one_line(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    file, base = sd1
    xl = original.base_of(original.tiny_xl(), tmp_path / "xl")
    line = refused(file, xl)
    assert "is Stable Diffusion 1.x" in line
    assert "is a StableDiffusionXLPipeline" in line
    line = refused(file)  # Its published base is not in this machine's cache.
    assert "hf download stable-diffusion-v1-5/stable-diffusion-v1-5" in line
    assert "--base" in line
    data = file.read_bytes()
    (tmp_path / "half.safetensors").write_bytes(data[: len(data) // 2])
    assert "is cut" in refused(tmp_path / "half.safetensors", base)
    (tmp_path / "text.safetensors").write_text("hello")
    assert "is cut, or is no safetensors file" in refused(tmp_path / "text.safetensors", base)
    fewer = rewritten(
        file,
        tmp_path / "fewer.safetensors",
        lambda found: {k: v for k, v in found.items() if "output_blocks.3.0" not in k},
    )
    assert "is not whole" in refused(fewer, base)
    for suffix in (".ckpt", ".pt", ".bin"):
        (tmp_path / f"model{suffix}").write_bytes(data)
        assert "can run any code" in refused(tmp_path / f"model{suffix}", base)
    nine = build("sd1", "inpaint")
    wide = original.write(original.weights(nine), tmp_path / "nine.safetensors")
    assert "9 input channels" in refused(wide, base)


def test_a_base_that_would_change_images_silently_is_refused(
    sd1: tuple[Path, Path], tmp_path: Path
) -> None:
    file, _ = sd1
    base = original.base_of(build("sd1"), tmp_path / "base")
    config = base / "text_encoder" / "config.json"
    data = json.loads(config.read_text())
    config.write_text(json.dumps(data | {"num_hidden_layers": 1}))
    assert "2 layers of text_encoder" in refused(file, base)
    config.write_text(json.dumps(data))
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (base / "tokenizer" / name).unlink(missing_ok=True)
    assert "lacks tokenizer/tokenizer.json" in refused(file, base)
