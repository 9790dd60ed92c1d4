"""Each kind of file through every command, and the sampler's laws on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.models import lora_writers, opened_laws, quantized_writers
from tests.support.models import original_layout as original
from tests.support.models.model_walk import walk
from tests.support.models.opened_models import opened
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build


def test_a_file_of_stable_diffusion(sd1: tuple[Path, Path]) -> None:
    assert opened_laws.alike(opened_laws.check(opened(*sd1)), opened_laws.draw(build("sd1")))


def xl(top: Path) -> tuple[Any, list[Any]]:
    """Stable Diffusion XL, and the flags that name its file."""
    pipe = original.tiny_xl()
    base = original.base_of(pipe, top / "base")
    file = original.write(original.weights(pipe), top / "xl.safetensors")
    return pipe, ["--model", file, "--base", base]


def sd3(top: Path) -> tuple[Any, list[Any]]:
    pipe = original.tiny_sd3()
    base = original.base_of(pipe, top / "base")
    file = original.write(original.weights(pipe), top / "sd3.safetensors")
    return pipe, ["--model", file, "--base", base]


def gguf(top: Path) -> tuple[Any, list[Any]]:
    """FLUX, whose transformer is a GGUF file."""
    pytest.importorskip("gguf")
    pipe = transformer("flux")
    base = original.base_of(pipe, top / "base", weighty=True)
    tensors = pipe.transformer.state_dict()
    file = quantized_writers.gguf(tensors, top / "model.gguf", arch="flux")
    return pipe, ["--model", file, "--base", base]


def torchao(top: Path) -> tuple[Any, list[Any]]:
    pytest.importorskip("torchao")
    pipe = transformer("flux")
    return pipe, ["--model", quantized_writers.torchao(pipe, top / "model")]


def quanto(top: Path) -> tuple[Any, list[Any]]:
    pytest.importorskip("optimum.quanto")
    pipe = transformer("flux")
    return pipe, ["--model", quantized_writers.quanto(pipe, top / "model")]


Kind = Callable[[Path], tuple[Any, list[Any]]]


@pytest.mark.parametrize("kind", [xl, sd3, torchao, quanto], ids=lambda kind: kind.__name__)
def test_the_laws_hold_and_no_image_changes(kind: Kind, tmp_path: Path) -> None:
    pipe, (_, file, *base) = kind(tmp_path)
    found = opened(file, *base[1:])
    assert opened_laws.alike(opened_laws.check(found), opened_laws.draw(pipe))


def test_the_laws_hold_on_a_gguf_file(tmp_path: Path) -> None:
    pipe, (_, file, _, base) = gguf(tmp_path)
    found, want = opened_laws.check(opened(file, base)), opened_laws.draw(pipe)
    assert 0 < (found - want).norm() / want.norm() < 0.1


@pytest.mark.parametrize("kind", ["kohya", "diffusers", "peft"])
def test_the_laws_hold_on_a_lora(kind: str, folder: Path, tmp_path: Path) -> None:
    file = dict(lora_writers.files(tmp_path))[kind]
    opened_laws.check(opened(folder, loras=[str(file)]))


@pytest.mark.usefixtures("few_turns")
@pytest.mark.parametrize(
    "kind",
    [gguf, *(pytest.param(one, marks=pytest.mark.slow) for one in (xl, sd3, torchao, quanto))],
    ids=lambda kind: kind.__name__,
)
def test_every_command_takes_it(kind: Kind, tmp_path: Path) -> None:
    _, flags = kind(tmp_path)
    found = walk(tmp_path, flags, "unet" if kind is xl else "mmdit")
    assert set(found["weights"]) >= ({"file", "base"} if "--base" in flags else {"transformer"})


@pytest.mark.slow
@pytest.mark.usefixtures("few_turns")
@pytest.mark.parametrize("kind", ["kohya", "diffusers", "peft"])
def test_every_command_takes_a_lora(kind: str, folder: Path, tmp_path: Path) -> None:
    file = dict(lora_writers.files(tmp_path))[kind]
    found = walk(tmp_path, ["--model", folder, "--lora", f"{file}=0.7"])
    assert "lora 1" in found["weights"]
