"""Weights of fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import accel
import accel.cli
from accel.models.files import quantizing
from accel.models.files.quantizing import PACKAGES
from accel.models.parts import TYPES
from accel.models.resolve import open_model
from tests.support.models import opened_laws
from tests.support.models import original_layout as original
from tests.support.models import quantized_writers as writers
from tests.support.models.opened_models import SMALL, opened, refused
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build, draw, strategy


def test_layerwise_casting_holds_8_bit_weights(folder: Path) -> None:
    chosen = [{"backend": "layerwise", "type": "float8"}]
    pipe, _ = open_model(str(folder), "cpu", False, None, {"quantize": chosen})
    held = {weight.dtype for weight in pipe.unet.parameters()}
    assert torch.float8_e4m3fn in held
    before = draw(pipe, **SMALL)
    assert 0 < (before - draw(build("sd1"), **SMALL)).abs().max() < 1
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 0]}}, calls=2))
    assert not torch.equal(draw(pipe, **SMALL), before)
    accel.remove(pipe)
    assert torch.equal(draw(pipe, **SMALL), before)


KINDS = [(one, kind) for one, kinds in TYPES.items() for kind in kinds if one in PACKAGES]
# By default one of each package. For quanto's int4 it compiles code, which takes minutes.
FIRST = [next(one for one in KINDS if one[0] == backend) for backend in {b for b, _ in KINDS}]


@pytest.mark.parametrize(
    ("backend", "kind"),
    [pytest.param(*one, marks=[] if one in FIRST else [pytest.mark.slow]) for one in KINDS],
)
def test_a_backend_holds_fewer_bits_and_keeps_the_laws(
    backend: str, kind: str, tmp_path: Path
) -> None:
    pytest.importorskip(PACKAGES[backend][0])
    transformer("flux").save_pretrained(tmp_path / "flux")
    pipe = opened(tmp_path / "flux", quantize=[{"backend": backend, "type": kind}])
    wide = sum(held(one) for one in transformer("flux").transformer.state_dict().values())
    assert sum(map(held, pipe.transformer.state_dict().values())) < 0.5 * wide
    want, found = opened_laws.draw(transformer("flux")), opened_laws.check(pipe)
    limit = 1.0 if kind in ("nf4", "int4") else 0.3
    assert 0 < (found - want).norm() / want.norm() < limit


def held(value: Any) -> int:
    """Bytes of a tensor; a quantised one is made of several."""
    if hasattr(value, "__tensor_flatten__") and type(value) is not torch.Tensor:
        names, _ = value.__tensor_flatten__()
        return sum(held(getattr(value, name)) for name in names)
    return int(value.nbytes) if isinstance(value, torch.Tensor) else 0


@pytest.mark.parametrize("backend", sorted(PACKAGES))
def test_a_backend_that_is_not_there_names_its_package(
    backend: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "find_spec", lambda _: None)
    chosen = [{"backend": backend, "type": TYPES[backend][0]}]
    assert f"pip install {PACKAGES[backend][1]}" in refused(folder, quantize=chosen)


@pytest.mark.parametrize("by", ["package", "class"])
def test_quantos_own_files_are_read(by: str, tmp_path: Path) -> None:
    pytest.importorskip("optimum.quanto")
    pipe = transformer("flux")
    saved = writers.quanto(pipe, tmp_path / "model", by, "float8")
    found = opened(saved)
    assert torch.equal(opened_laws.draw(found), opened_laws.draw(pipe))
    chosen = [{"backend": "layerwise", "type": "float8"}]
    assert "is quantised already by its own files" in refused(saved, quantize=chosen)
    weights = next((saved / "transformer").glob("*.safetensors"))
    tensors = load_file(weights)
    tensors.pop("proj_out.bias")
    original.write(tensors, weights)
    assert "lacks proj_out.bias" in refused(saved)


def test_quantos_files_of_another_type_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("optimum.quanto")
    saved = writers.quanto(transformer("flux"), tmp_path / "model")
    weights = next((saved / "transformer").glob("*.safetensors"))
    packed = {
        k: v.to(torch.uint8) if k.endswith("._data") else v for k, v in load_file(weights).items()
    }
    original.write(packed, weights)
    assert "weights of U8, and I8, F8_E4M3, F8_E5M2 are read" in refused(saved)


def test_what_is_not_quantised_twice_or_fused(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    file = writers.gguf(original.sd3(pipe.transformer, ""), tmp_path / "model.gguf")
    chosen = [{"backend": "layerwise", "type": "float8"}]
    assert "is quantised already by its own files" in refused(file, base, quantize=chosen)
    tensors: dict[str, torch.Tensor] = {}
    for name in ("to_q", "to_v"):
        layer = f"transformer.transformer_blocks.0.attn.{name}"
        tensors |= {f"{layer}.lora_A.weight": torch.ones(2, 32) * 0.1}
        tensors |= {f"{layer}.lora_B.weight": torch.ones(32, 2) * 0.1}
    lora = str(original.write(tensors, tmp_path / "lora.safetensors"))
    found = opened(file, base, loras=[lora])
    assert not torch.equal(opened_laws.check(found), opened_laws.draw(opened(file, base)))
    fused = [{"path": lora, "fuse": True}]
    assert "--fuse-loras" in refused(file, base, loras=fused)
