"""Placement and combination of parts: what excludes each other, flags, attention, offloading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import accel
import accel.cli
from accel.models.parts import Lora, ModelParts, Quantize
from accel.models.resolve import open_model, resolve_model
from strategies import StrategyError
from tests.support.models import lora_writers as writers
from tests.support.models import model_commands, opened_laws
from tests.support.models import original_layout as original
from tests.support.models.model_commands import COMMANDS
from tests.support.models.opened_models import SMALL, opened
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build, draw


def test_parts_that_exclude_each_other(folder: Path, tmp_path: Path) -> None:
    file = str(original.write(writers.kohya(build("sd1").unet), tmp_path / "kohya.safetensors"))
    cast = {"backend": "layerwise", "type": "float8"}
    for parts, said in (
        ({"loras": [file], "quantize": [cast]}, "take no LoRA on top; fuse"),
        ({"quantize": [cast, cast]}, "the denoiser is named twice"),
        ({"compile": True, "offload": "group"}, "not compiled as a whole"),
        ({"loras": [file, {"path": file, "fuse": True}]}, "fuse all of them or none"),
        ({"loras": [{"path": file, "weight": float("nan")}]}, "weight is nan"),
        ({"offload": "model"}, "the device is a CPU"),
        ({"base": str(folder)}, "--base goes with a single file"),
        ({"attention": "native"}, "do not choose among backends"),
        ({"quantize": [cast | {"part": "unet_2"}]}, "has no network 'unet_2'"),
    ):
        with pytest.raises(StrategyError, match=said):
            open_model(str(folder), "cpu", False, None, parts)
    with pytest.raises(StrategyError, match="without weights; leave loras out"):
        resolve_model(str(folder), "cpu", random_weights=True, changes={"loras": [file]})
    pipe, _ = open_model(
        str(folder),
        "cpu",
        False,
        None,
        {"loras": [{"path": file, "fuse": True}], "quantize": [cast]},
    )
    assert torch.isfinite(draw(pipe, **SMALL)).all()


def test_an_attention_backend_is_set(tmp_path: Path) -> None:
    transformer("flux").save_pretrained(tmp_path / "flux")
    parts = {"attention": "_native_math"}
    pipe, _ = open_model(str(tmp_path / "flux"), "cpu", False, None, parts)
    block = pipe.transformer.transformer_blocks[0]
    assert "math" in str(block.attn.processor._attention_backend).lower()
    with pytest.raises(StrategyError, match="--attention nothing cannot be used"):
        open_model(str(tmp_path / "flux"), "cpu", False, None, {"attention": "nothing"})


@pytest.mark.parametrize("how", ["model", "sequential"])
def test_offloading_that_needs_a_gpu_is_refused(
    how: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for main, own in COMMANDS:
        flags = [*own, "--model", folder, "--offload", how]
        line = model_commands.fails(main, capsys, *flags)
        assert f"--offload {how} moves weights between a GPU and memory" in line


def test_group_offload_keeps_the_laws(folder: Path) -> None:
    pipe = opened(folder, offload="group")
    assert opened_laws.alike(opened_laws.check(pipe), opened_laws.draw(build("sd1")))


def test_the_denoiser_is_compiled(folder: Path) -> None:
    pipe = opened(folder, compile=True)
    assert pipe.unet._compiled_call_impl is not None
    assert pipe.vae._compiled_call_impl is None


@pytest.mark.slow
def test_a_compiled_model_keeps_the_laws(folder: Path) -> None:
    torch._dynamo.reset()
    found = opened_laws.check(opened(folder, compile=True))
    assert (found - opened_laws.draw(build("sd1"))).abs().max() < 1e-3


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert accel.cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_flags_are_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = ["generate", "--strategy", "deepcache-n3", "--prompt", "x", "--out", "x.png"]
    drawn += ["--model", str(folder), "--device", "cpu"]
    assert "'heavy' is no number" in fails([*drawn, "--lora", "a.safetensors=heavy"], capsys)
    assert "--fuse-loras goes with --lora" in fails([*drawn, "--fuse-loras"], capsys)
    assert "'int3' is unknown" in fails([*drawn, "--quantize", "int3"], capsys)
    assert "no such file or folder" in fails([*drawn, "--lora", "a.safetensors=0.5"], capsys)
    assert "can run any code" in fails([*drawn, "--lora", "a.pt"], capsys)


def test_parts_are_left_out_of_settings_where_they_are_not_used() -> None:
    assert ModelParts().model_dump() == {}
    some = ModelParts(
        loras=(Lora(path="a"),), quantize=(Quantize(backend="quanto", type="int8", part="vae"),)
    )
    assert ModelParts.model_validate(json.loads(json.dumps(some.model_dump()))) == some
