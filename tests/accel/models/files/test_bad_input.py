"""Wrong files and flags, each one line of every command and nothing written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.accel.models.files.test_gguf_files import gguf
from tests.support.models import lora_writers
from tests.support.models import original_layout as original
from tests.support.models.model_commands import COMMANDS, fails
from tests.support.pipelines.unet_pipelines import build

Flags = Sequence[Any]


def other_architecture(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    wrong = original.base_of(original.tiny_xl(), top / "xl")
    return ["--model", file, "--base", wrong], "is Stable Diffusion 1.x, and --base"


def other_lora(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    tensors = lora_writers.own(build("sd1").unet, "transformer.single_blocks.")
    path = original.write(tensors, top / "flux-lora.safetensors")
    return ["--model", folder, "--lora", path], "does not fit this StableDiffusionPipeline"


def half_a_file(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    data, path = file.read_bytes(), top / "half.safetensors"
    path.write_bytes(data[: len(data) // 2])
    return ["--model", path, "--base", base], "is cut"


def half_a_lora(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = original.write(lora_writers.kohya(build("sd1").unet), top / "lora.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    return ["--model", folder, "--lora", path], "is cut: 100 bytes are missing"


def half_an_autoencoder(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = original.write(original.vae(build("sd1").vae), top / "vae.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    return ["--model", folder, "--vae", path], "is cut: 100 bytes are missing"


def half_an_embedding(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = top / "style.safetensors"
    save_file({"emb_params": torch.ones(64)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    return ["--model", folder, "--embedding", path], "is cut: 100 bytes are missing"


def unread_gguf(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = gguf({"double_blocks.0.img_attn.qkv.weight": (19, (96, 32))}, top / "flux.gguf")
    return ["--model", path, "--base", base], "GGUF type 19, which diffusers does not read"


def executed(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = top / "model.ckpt"
    path.write_bytes(file.read_bytes())
    return ["--model", path, "--base", base], ".ckpt files can run any code"


def no_pipeline(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    return ["--model", "json:dumps"], "the function failed: TypeError"


def no_pipeline_returned(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    return ["--model", "builtins:dict"], "returned a dict; it must return a pipeline"


def exclusive_parts(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = original.write(lora_writers.kohya(build("sd1").unet), top / "lora.safetensors")
    flags = ["--model", folder, "--lora", path, "--quantize", "layerwise:float8"]
    return flags, "layerwise weights take no LoRA on top; fuse"


def no_number(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    return ["--model", folder, "--lora", "style.safetensors=heavy"], "'heavy' is no number"


def not_finite(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    path = original.write(lora_writers.kohya(build("sd1").unet), top / "lora.safetensors")
    return ["--model", folder, "--lora", f"{path}=nan"], "weight is nan; give a finite number"


def no_such_file(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    return ["--model", top / "none.safetensors", "--base", base], "no such file"


def base_of_a_folder(top: Path, file: Path, base: Path, folder: Path) -> tuple[Flags, str]:
    return ["--model", folder, "--base", base], "--base goes with a single file"


CASES = [
    *(other_architecture, other_lora, half_a_file, half_a_lora, half_an_autoencoder),
    *(half_an_embedding, unread_gguf, executed, no_pipeline, no_pipeline_returned),
    *(exclusive_parts, no_number, not_finite, no_such_file, base_of_a_folder),
]
Case = Callable[[Path, Path, Path, Path], tuple[Flags, str]]


@pytest.mark.parametrize("case", CASES, ids=lambda one: one.__name__)
def test_bad_input_is_one_line(
    case: Case,
    sd1: tuple[Path, Path],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    flags, said = case(tmp_path, *sd1, folder)
    before = sorted(tmp_path.rglob("*"))
    for main, own in COMMANDS:
        assert said in fails(main, capsys, *own, *flags)
    assert sorted(tmp_path.rglob("*")) == before
