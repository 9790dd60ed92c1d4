"""GGUF files: their header, written by the package gguf, drawn from."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from accel.models.files import gguf_file, single_file, weight_file
from strategies import StrategyError
from tests.support.models import original_layout as original
from tests.support.models import quantized_writers as writers
from tests.support.models.opened_models import opened, refused
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.transformer_pipelines import draw


def gguf(tensors: dict[str, tuple[int, tuple[int, ...]]], path: Path) -> Path:
    """A GGUF file: one text, one list, and tensors of zeros."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    data += text("general.architecture") + struct.pack("<I", 8) + text("flux")
    data += text("sizes") + struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 1, 2)
    size = 0
    for name, (kind, shape) in tensors.items():
        data += text(name) + struct.pack("<I", len(shape))
        data += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, size)
        size += 4 * math.prod(shape)
    path.write_bytes(data + bytes(32 + size))
    return path


def test_the_header_of_a_gguf_file(tmp_path: Path) -> None:
    block = "double_blocks.0.img_attn.qkv.weight"
    file = gguf({block: (8, (96, 32)), "img_in.weight": (1, (32, 16))}, tmp_path / "flux.gguf")
    found = weight_file.read_header(file)
    assert found.tensors[block] == weight_file.Tensor("Q8_0", (96, 32))
    assert found.tensors["img_in.weight"].dtype == "F16"
    other = gguf({block: (19, (96, 32))}, tmp_path / "iq1.gguf")
    with pytest.raises(StrategyError, match="GGUF type 19, which diffusers does not read"):
        gguf_file.tensors(other)
    (tmp_path / "half.gguf").write_bytes(file.read_bytes()[:60])
    with pytest.raises(StrategyError, match="is cut, or is no GGUF file"):
        weight_file.read_header(tmp_path / "half.gguf")


def test_a_gguf_file_needs_its_package_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_file, "find_spec", lambda _: None)
    pipe = transformer("flux")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    names = ("guidance_in.in_layer.weight", "double_blocks.0.img_attn.qkv.weight")
    file = gguf(dict.fromkeys(names, (8, (32, 32))), tmp_path / "flux.gguf")
    assert "pip install gguf" in refused(file, base)
    file = gguf({names[1]: (8, (32, 32))}, tmp_path / "schnell.gguf")
    assert "no embedding of guidance" in refused(file, base)


# Largest distance to the images of the same weights in float32.
TYPES = {
    "F32": 0, "F16": 0.01, "BF16": 0.05, "Q8_0": 0.1, "Q5_0": 1, "Q5_1": 1, "Q4_0": 2, "Q4_1": 2,
}  # fmt: skip


def test_every_type_that_the_package_writes(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    want = draw(pipe, steps=2)
    for kind, limit in TYPES.items():
        prefix = original.UNET if kind == "F32" else ""
        tensors = original.sd3(pipe.transformer, prefix)
        file = writers.gguf(tensors, tmp_path / "model.gguf", kind)
        block = f"{prefix}joint_blocks.0.x_block.attn.qkv.weight"
        assert weight_file.read_header(file).tensors[block] == weight_file.Tensor(kind, (96, 32))
        found = draw(opened(file, base), steps=2)
        assert (found - want).norm() / want.norm() <= limit, kind


def test_half_a_gguf_file_with_a_whole_header(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    file = writers.gguf(original.sd3(pipe.transformer, ""), tmp_path / "model.gguf")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 3 // 4])
    assert "is cut" in refused(file, base)
