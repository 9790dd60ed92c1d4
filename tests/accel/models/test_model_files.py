"""Single files of models: written in their original layout, loaded with a base, refused."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import accel.cli
import evaluate.cli
import search.cli
from accel.models.files import gguf_file, weight_file
from accel.models.parts import ModelParts
from accel.models.resolve import open_model
from evaluate import model_files
from strategies import StrategyError
from tests.support import original_layout as original
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.transformer_pipelines import draw as draw_transformer
from tests.support.pipelines.unet_pipelines import build, draw


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def sd1(top: Path) -> tuple[Path, Path]:
    """A file of Stable Diffusion 1 in its original layout, and a base without weights."""
    pipe = build("sd1")
    return (
        original.write(original.weights(pipe), top / "fine-tune.safetensors"),
        original.base_of(pipe, top / "sd1-base"),
    )


def opened(file: Path, base: Path | str = "", **parts: Any) -> Any:
    return open_model(str(file), "cpu", False, None, {"base": str(base)} | parts)[0]


def refused(file: Path, base: Path | str = "", **parts: Any) -> str:
    with pytest.raises(StrategyError) as error:
        opened(file, base, **parts)
    text = str(error.value)
    assert "\n" not in text
    return text


def rewritten(
    file: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> Path:
    return original.write(change(load_file(file)), target)


@pytest.mark.parametrize("name", ["sd1", "sd2", "xl"])
def test_a_file_draws_as_the_pipeline_that_it_was_written_from(name: str, tmp_path: Path) -> None:
    pipe = original.tiny_xl() if name == "xl" else build(name)
    base = original.base_of(pipe, tmp_path / "base")
    file = original.write(original.weights(pipe), tmp_path / "model.safetensors")
    size = {"steps": 2, "height": 32, "width": 32}
    assert torch.equal(draw(pipe, **size), draw(opened(file, base), **size))


@pytest.mark.parametrize("prefix", ["", original.UNET])
def test_a_transformer_alone_is_put_on_its_base(prefix: str, tmp_path: Path) -> None:
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    file = original.write(original.sd3(pipe.transformer, prefix), tmp_path / "t.safetensors")
    want = draw_transformer(pipe, steps=2)
    assert torch.equal(want, draw_transformer(opened(file, base), steps=2))
    own = {f"transformer.{key}": value for key, value in pipe.transformer.state_dict().items()}
    file = original.write(own, tmp_path / "own.safetensors")
    assert torch.equal(want, draw_transformer(opened(file, base), steps=2))
    del own["transformer.proj_out.bias"]
    line = refused(original.write(own, tmp_path / "less.safetensors"), base)
    assert "lacks proj_out.bias" in line
    own |= {"transformer.more": torch.ones(1), "transformer.proj_out.bias": torch.ones(16)}
    line = refused(original.write(own, tmp_path / "more.safetensors"), base)
    assert "has no place for more" in line


def test_scales_of_8_bit_weights_are_multiplied(tmp_path: Path) -> None:
    pipe = transformer("sd3")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    plain = original.sd3(pipe.transformer, "")
    scaled: dict[str, torch.Tensor] = {}
    for key, value in plain.items():
        if value.ndim == 2 and key.startswith("joint_blocks."):
            scale = value.abs().max() / 448
            plain[key] = (value / scale).to(torch.float8_e4m3fn).float() * scale
            scaled[key] = (value / scale).to(torch.float8_e4m3fn)
            scaled[f"{key.removesuffix('.weight')}.scale_weight"] = scale.reshape(1)
        else:
            scaled[key] = value
    scaled["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    first = opened(original.write(plain, tmp_path / "plain.safetensors"), base)
    second = opened(original.write(scaled, tmp_path / "scaled.safetensors"), base)
    assert torch.equal(draw_transformer(first, steps=2), draw_transformer(second, steps=2))
    name = next(key for key in scaled if key.endswith(".scale_weight"))
    blocks = scaled | {name: torch.ones(4, 4)}
    assert "a form that is not known" in refused(
        original.write(blocks, tmp_path / "blocks.safetensors"), base
    )


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


def gguf(tensors: dict[str, tuple[int, tuple[int, ...]]], path: Path) -> Path:
    """A header of a GGUF file: one text, one list, and tensors without data."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    data += text("general.architecture") + struct.pack("<I", 8) + text("flux")
    data += text("sizes") + struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 1, 2)
    for name, (kind, shape) in tensors.items():
        data += text(name) + struct.pack("<I", len(shape))
        data += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, 0)
    path.write_bytes(data)
    return path


def test_the_header_of_a_gguf_file(tmp_path: Path) -> None:
    block = "double_blocks.0.img_attn.qkv.weight"
    file = gguf({block: (8, (96, 32)), "img_in.weight": (1, (32, 16))}, tmp_path / "flux.gguf")
    found = weight_file.read(file)
    assert found.tensors[block] == weight_file.Tensor("Q8_0", (96, 32))
    assert found.tensors["img_in.weight"].dtype == "F16"
    other = gguf({block: (19, (96, 32))}, tmp_path / "iq1.gguf")
    with pytest.raises(StrategyError, match="GGUF type 19, which diffusers does not read"):
        gguf_file.tensors(other)
    (tmp_path / "half.gguf").write_bytes(file.read_bytes()[:60])
    with pytest.raises(StrategyError, match="is cut, or is no GGUF file"):
        weight_file.read(tmp_path / "half.gguf")


def test_a_gguf_file_needs_its_package_and_says_so(tmp_path: Path) -> None:
    if __import__("importlib").util.find_spec("gguf") is not None:
        pytest.skip("the package gguf is there")
    pipe = transformer("flux")
    base = original.base_of(pipe, tmp_path / "base", weighty=True)
    names = ("guidance_in.in_layer.weight", "double_blocks.0.img_attn.qkv.weight")
    file = gguf(dict.fromkeys(names, (8, (32, 32))), tmp_path / "flux.gguf")
    assert "pip install gguf" in refused(file, base)
    file = gguf({names[1]: (8, (32, 32))}, tmp_path / "schnell.gguf")
    assert "no embedding of guidance" in refused(file, base)


def module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_models.py").write_text(
        "from tests.support.pipelines.unet_pipelines import build\n"
        "CALLS = []\n"
        "def sd():\n    CALLS.append(1)\n    return build('sd1')\n"
        "def other():\n    return 3\n"
        "def fails():\n    raise RuntimeError('no such device')\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)


def test_a_function_returns_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(tmp_path, monkeypatch)
    small = {"steps": 2, "height": 32, "width": 32}
    pipe, config = open_model("my_models:sd", "cpu", False)
    assert config is None
    assert torch.equal(draw(pipe, **small), draw(build("sd1"), **small))
    for name, said in (
        ("my_models:other", "returned a int; it must return a pipeline"),
        ("my_models:fails", "the function failed: RuntimeError: no such device"),
        ("my_models:none", "my_models has no function none"),
        ("no_models:sd", "No module named 'no_models'"),
    ):
        with pytest.raises(StrategyError, match=said):
            open_model(name, "cpu", False)


SEARCHED = [
    *("--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "1"),
    *("--base-steps", "3", "--steps", "2,3", "--schedulers", "DDIM", "--size", "32"),
    *("--batch", "2", "--objective", "psnr", "--objective", "macs", "--methods", "deepcache"),
]


def test_a_run_of_a_function_goes_on_only_if_it_is_named_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module(tmp_path, monkeypatch)
    run, name = tmp_path / "run", "my_models:sd"
    asked = [*SEARCHED, "--out", str(run), "--model", name, "--budget", "2evals"]
    assert search.cli.main(asked) == 0
    again = ["--resume", str(run), "--budget", "3evals"]
    calls = sys.modules["my_models"].CALLS
    before = len(calls)
    capsys.readouterr()
    assert search.cli.main(again) == 2
    line = capsys.readouterr().err.strip()
    assert "its model is the function my_models:sd" in line
    assert "--model my_models:sd" in line
    assert search.cli.main(["ablate", str(run)]) == 2
    assert len(calls) == before
    assert search.cli.main([*again, "--model", name]) == 0
    (made, *_) = sorted((run / "strategies").glob("*.json"))
    found = json.loads(made.read_text())["provenance"]
    assert found["model"] == "my_models.sd"
    assert {"unet", "vae"} <= set(found["weights"])
    # A strategy that names a function runs none.
    before = len(calls)
    assert accel.cli.main(
        ["generate", "--strategy", str(made), "--model", "tiny-sd", "--prompt", "a red circle",
         "--out", str(tmp_path / "one.png"), "--device", "cpu"]
    ) == 0  # fmt: skip
    assert len(calls) == before


def test_every_command_takes_a_file(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    file, base = sd1
    model = ["--model", str(file), "--base", str(base)]
    run = tmp_path / "run"
    assert search.cli.main([*SEARCHED, "--out", str(run), *model, "--budget", "4evals"]) == 0
    (made, *_) = sorted((run / "strategies").glob("*.json"))
    weights = json.loads(made.read_text())["provenance"]["weights"]
    assert set(weights) == {"file", "base"}
    drawn = ["--prompt", "a circle", "--height", "32", "--width", "32", "--device", "cpu"]
    drawn += ["--strategy", str(made), *model]
    assert accel.cli.main(["generate", *drawn, "--out", str(tmp_path / "one.png")]) == 0
    json_file = tmp_path / "scores.json"
    scored = ["--images", "2", "--metrics", "psnr", "--repeats", "0", "--steps", "3"]
    scored += ["--size", "32", "--device", "cpu", "--strategy", str(made), "--dtype", "float32"]
    assert evaluate.cli.main([*scored, "--json", str(json_file), *model]) == 0
    assert json.loads(json_file.read_text())["setting"]["model"] == "fine-tune"
    plan = ["calibrate", "--prompt", "a circle", "--steps", "3", "--device", "cpu", *model]
    assert accel.cli.main([*plan, "--out", str(tmp_path / "plan.json")]) == 0


def test_fingerprints_tell_files_bases_and_parts_apart(
    sd1: tuple[Path, Path], tmp_path: Path
) -> None:
    file, base = sd1
    first = model_files.weights(str(file), ModelParts(base=str(base)))
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(file.read_bytes())
    assert model_files.weights(str(copy), ModelParts(base=str(base))) == first
    changed = rewritten(file, tmp_path / "other.safetensors", lambda found: {
        key: value + 1 if key.endswith("out.2.bias") else value for key, value in found.items()
    })  # fmt: skip
    second = model_files.weights(str(changed), ModelParts(base=str(base)))
    assert second["file"] != first["file"]
    assert second["base"] == first["base"]
