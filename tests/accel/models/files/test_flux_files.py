"""Files of FLUX.1 in its original layout, at the published width: minutes and gigabytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from accel.models.loading import load_source
from accel.models.parts import ModelParts
from tests.support.models import flux_layout, quantized_writers
from tests.support.models import original_layout as original
from tests.support.models.opened_models import refused
from tests.support.pipelines.transformer_pipelines import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A pipeline, and its folder."""
    pipe = flux_layout.build()
    return pipe, original.base_of(pipe, tmp_path_factory.mktemp("flux") / "base", weighty=True)


def opened(file: Path, base: Path) -> Any:
    pipe = load_source(file.stem, str(file), ModelParts(base=str(base)), torch.bfloat16)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def latents(pipe: Any) -> torch.Tensor:
    """One step without guidance: each call of a network of this width takes seconds."""
    return draw(pipe, steps=1, guidance=1.0)


def test_a_transformer_and_a_whole_file(made: tuple[Any, Path], tmp_path: Path) -> None:
    pipe, base = made
    want = latents(pipe)
    file = original.write(flux_layout.flux(pipe.transformer), tmp_path / "t.safetensors")
    assert torch.equal(want, latents(opened(file, base)))
    file.unlink()
    file = original.write(flux_layout.weights(pipe), tmp_path / "whole.safetensors")
    light = original.base_of(pipe, tmp_path / "light")
    assert torch.equal(want, latents(opened(file, light)))
    file.unlink()


def test_scaled_8_bit_weights(made: tuple[Any, Path], tmp_path: Path) -> None:
    pipe, base = made
    plain, scaled = flux_layout.flux(pipe.transformer), dict[str, torch.Tensor]()
    for key, value in plain.items():
        if value.ndim == 2 and "_blocks." in key:
            scale = value.abs().max().float() / 448
            held = (value.float() / scale).to(torch.float8_e4m3fn)
            scaled |= {key: held, f"{key.removesuffix('.weight')}.scale_weight": scale.reshape(1)}
            plain[key] = (held.float() * scale).to(value.dtype)
        else:
            scaled[key] = value
    first = opened(original.write(plain, tmp_path / "plain.safetensors"), base)
    second = opened(original.write(scaled, tmp_path / "scaled.safetensors"), base)
    assert torch.equal(latents(first), latents(second))


def test_a_gguf_file_under_the_authors_names(made: tuple[Any, Path], tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pipe, base = made
    tensors = flux_layout.flux(pipe.transformer)
    file = quantized_writers.gguf(tensors, tmp_path / "flux.gguf", "Q8_0", "flux")
    want, found = latents(pipe).float(), latents(opened(file, base)).float()
    assert 0 < (found - want).norm() / want.norm() < 0.1
    without = {k: v for k, v in tensors.items() if not k.startswith("guidance_in.")}
    schnell = quantized_writers.gguf(without, tmp_path / "schnell.gguf", "Q8_0", "flux")
    assert "no embedding of guidance" in refused(schnell, base)
