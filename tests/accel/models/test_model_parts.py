"""Parts of a model: LoRAs in each form, autoencoders, embeddings, quantised weights, placement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

import accel
import accel.cli
import search.cli
from accel.models.files import loras, quantizing
from accel.models.parts import TYPES, Lora, ModelParts, Quantize
from accel.models.resolve import open_model, resolve_model
from evaluate import model_files
from strategies import StrategyError
from tests.support import original_layout as original
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build, draw, strategy

SMALL: dict[str, Any] = {"steps": 2, "height": 32, "width": 32}
LAYERS = ("attn1.to_q", "attn1.to_out.0", "attn2.to_v", "ff.net.2")
RANKS = {"attn1.to_q": 2, "attn1.to_out.0": 4, "attn2.to_v": 2, "ff.net.2": 3}
ALPHAS = {"attn1.to_q": 2.0, "attn1.to_out.0": 1.0, "attn2.to_v": 4.0, "ff.net.2": 3.0}
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "sd1"
    build("sd1").save_pretrained(target)
    return target


def pairs(unet: Any) -> dict[str, tuple[Tensor, Tensor, float]]:
    """Two matrices and the scale of each layer, several ranks and scales."""
    torch.manual_seed(1)
    found = {}
    for name in LAYERS:
        layer, rank = unet.get_submodule(f"{BLOCK}.{name}"), RANKS[name]
        down, up = torch.randn(rank, layer.in_features), torch.randn(layer.out_features, rank)
        found[f"{BLOCK}.{name}"] = down * 0.3, up * 0.3, ALPHAS[name] / rank
    return found


def merged(weight: float = 1.0) -> Any:
    """The pipeline with the products added to its weights by hand."""
    pipe = build("sd1")
    with torch.no_grad():
        for name, (down, up, scale) in pairs(pipe.unet).items():
            pipe.unet.get_submodule(name).weight += weight * scale * up @ down
    return pipe


def kohya(unet: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, (down, up, scale) in pairs(unet).items():
        key = f"lora_unet_{name.replace('.', '_')}"
        found |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        found[f"{key}.alpha"] = torch.tensor(scale * len(down))
    return found


def own(unet: Any, prefix: str = "unet.") -> dict[str, Tensor]:
    """Names of diffusers, the scale in the weights."""
    found: dict[str, Tensor] = {}
    for name, (down, up, scale) in pairs(unet).items():
        found |= {
            f"{prefix}{name}.lora_A.weight": down,
            f"{prefix}{name}.lora_B.weight": up * scale,
        }
    return found


def by_peft(target: Path) -> Path:
    """A folder as PEFT saves it, its scales in adapter_config.json."""
    unet = build("sd1").unet
    names = {f"{BLOCK}.{name}" for name in LAYERS}
    chosen = LoraConfig(
        r=2,
        lora_alpha=2,
        target_modules=sorted(names),
        rank_pattern={name: RANKS[name.removeprefix(f"{BLOCK}.")] for name in names},
        alpha_pattern={name: ALPHAS[name.removeprefix(f"{BLOCK}.")] for name in names},
    )
    wrapped = get_peft_model(unet, chosen)
    with torch.no_grad():
        for name, (down, up, _) in pairs(build("sd1").unet).items():
            layer: Any = wrapped.get_submodule(f"base_model.model.{name}")
            layer.lora_A["default"].weight.copy_(down)
            layer.lora_B["default"].weight.copy_(up)
    wrapped.save_pretrained(str(target))
    return target


def by_diffusers(target: Path) -> Path:
    """A file as diffusers saves it, its scales in the header's notes."""
    pipe = build("sd1")
    names = sorted(f"{BLOCK}.{name}" for name in LAYERS)
    chosen = LoraConfig(r=2, lora_alpha=5, target_modules=names)
    pipe.unet.add_adapter(chosen)
    with torch.no_grad():
        for name, value in pipe.unet.named_parameters():
            if "lora_" in name:
                value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(3)))
    pipe.save_lora_weights(
        target,
        unet_lora_layers=get_peft_model_state_dict(pipe.unet),
        unet_lora_adapter_metadata=chosen.to_dict(),
    )
    return target


def files(target: Path) -> Iterator[tuple[str, Path]]:
    unet = build("sd1").unet
    yield "kohya", original.write(kohya(unet), target / "kohya.safetensors")
    yield "diffusers", original.write(own(unet), target / "own.safetensors")
    yield "bare", original.write(own(unet, ""), target / "bare.safetensors")
    yield "peft", by_peft(target / "peft")


def test_every_form_of_a_lora_adds_the_same(folder: Path, tmp_path: Path) -> None:
    want, plain = draw(merged(), **SMALL), draw(build("sd1"), **SMALL)
    assert (want - plain).abs().max() > 0.05
    for name, file in files(tmp_path):
        for fuse in (False, True):
            one = {"path": str(file), "fuse": fuse}
            pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": [one]})
            assert (draw(pipe, **SMALL) - want).abs().max() < 1e-3, (name, fuse)
            if not fuse:
                assert loras.count(pipe, "lora_1") == len(LAYERS)


def test_a_weight_scales_a_lora_and_two_are_added(folder: Path, tmp_path: Path) -> None:
    file = str(original.write(kohya(build("sd1").unet), tmp_path / "kohya.safetensors"))
    twice = [{"path": file, "weight": 0.25}, {"path": file, "weight": 0.5}]
    pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": twice})
    assert (draw(pipe, **SMALL) - draw(merged(0.75), **SMALL)).abs().max() < 1e-3


def test_the_scale_that_diffusers_notes_is_used(folder: Path, tmp_path: Path) -> None:
    saved = by_diffusers(tmp_path / "lora")
    tensors = load_file(next(saved.glob("*.safetensors")))
    pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": [str(saved)]})
    plain = build("sd1")
    with torch.no_grad():
        for key, down in tensors.items():
            if key.endswith("lora_A.weight"):
                up = tensors[key.replace("lora_A", "lora_B")]
                name = key.removeprefix("unet.").removesuffix(".lora_A.weight")
                plain.unet.get_submodule(name).weight += 5 / 2 * up @ down
    assert (draw(pipe, **SMALL) - draw(plain, **SMALL)).abs().max() < 1e-3


def test_a_strategy_on_a_lora_is_removed_exactly(folder: Path, tmp_path: Path) -> None:
    file = str(original.write(kohya(build("sd1").unet), tmp_path / "kohya.safetensors"))
    pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": [file]})
    before = draw(pipe, **SMALL)
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 0]}}, calls=2))
    assert not torch.equal(draw(pipe, **SMALL), before)
    accel.remove(pipe)
    assert torch.equal(draw(pipe, **SMALL), before)


def test_a_lora_that_does_not_fit_is_one_line(folder: Path, tmp_path: Path) -> None:
    unet = build("sd1").unet
    good = kohya(unet)

    def refused(tensors: dict[str, Tensor], name: str = "bad") -> str:
        file = original.write(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(StrategyError) as error:
            open_model(str(folder), "cpu", False, None, {"loras": [str(file)]})
        assert "\n" not in str(error.value)
        return str(error.value)

    other = {key.replace("down_blocks_0", "down_blocks_7"): value for key, value in good.items()}
    assert "does not fit this StableDiffusionPipeline" in refused(other)
    flux = own(unet, "transformer.")
    assert "does not fit this StableDiffusionPipeline" in refused(flux)
    wide = {key: value.repeat(1, 2) if "down." in key else value for key, value in good.items()}
    assert "does not fit" in refused(wide)
    key = min(good).partition(".")[0]
    assert "is a DoRA" in refused(good | {f"{key}.dora_scale": torch.ones(8, 1)})
    assert "is a LoHa" in refused({f"{key}.hada_w1_a": torch.ones(8, 1)})
    assert "is missing" in refused({k: v for k, v in good.items() if not k.endswith("up.weight")})
    assert "no layer of a LoRA" in refused({"x": torch.ones(1)})
    original.write(good, tmp_path / "second.safetensors")
    for path, said in ((tmp_path / "none.safetensors", "no such file"), (tmp_path, "files; give")):
        with pytest.raises(StrategyError, match=said):
            open_model(str(folder), "cpu", False, None, {"loras": [str(path)]})
    pixart = tmp_path / "pixart"
    transformer("pixart").save_pretrained(pixart)
    file = str(original.write(good, tmp_path / "good.safetensors"))
    with pytest.raises(StrategyError, match="takes no LoRA"):
        open_model(str(pixart), "cpu", False, None, {"loras": [file]})


def test_another_autoencoder(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), latent_channels=4,
    )  # fmt: skip
    tiny.save_pretrained(tmp_path / "tiny")
    pipe, _ = open_model(str(folder), "cpu", False, None, {"vae": str(tmp_path / "tiny")})
    assert type(pipe.vae).__name__ == "AutoencoderTiny"
    image = pipe("a circle", num_inference_steps=1, height=32, width=32, output_type="pt").images
    assert image.shape == (1, 3, 32, 32)
    other = transformer("flux").vae
    other.register_to_config(latent_channels=16)
    other.save_config(tmp_path / "wide")
    wide = diffusers.AutoencoderTiny(latent_channels=8)
    wide.save_pretrained(tmp_path / "wide")
    for path, said in (
        (tmp_path / "wide", "has 8 latent channels, and the model's own has 4"),
        (tmp_path / "none", "cannot be loaded"),
        (folder / "unet", "holds a UNet2DConditionModel, no autoencoder"),
    ):
        with pytest.raises(StrategyError, match=said):
            open_model(str(folder), "cpu", False, None, {"vae": str(path)})


def test_an_embedding_adds_a_word(folder: Path, tmp_path: Path) -> None:
    vector = torch.randn(64, generator=torch.Generator().manual_seed(4))
    file = tmp_path / "style.safetensors"
    save_file({"emb_params": vector}, file)
    chosen = [{"path": str(file), "token": "<style>"}]
    pipe, _ = open_model(str(folder), "cpu", False, None, {"embeddings": chosen})
    (token,) = pipe.tokenizer("<style>", add_special_tokens=False).input_ids
    assert torch.equal(pipe.text_encoder.get_input_embeddings().weight[token], vector)
    pipe, _ = open_model(str(folder), "cpu", False, None, {"embeddings": [str(file)]})
    assert len(pipe.tokenizer("style", add_special_tokens=False).input_ids) == 1
    save_file({"emb_params": vector[:8]}, file)
    with pytest.raises(StrategyError, match="does not fit this StableDiffusionPipeline"):
        open_model(str(folder), "cpu", False, None, {"embeddings": chosen})


def test_an_embedding_for_two_encoders(tmp_path: Path) -> None:
    original.tiny_xl().save_pretrained(tmp_path / "xl")
    file = tmp_path / "style.safetensors"
    save_file({"clip_l": torch.ones(1, 32), "clip_g": torch.ones(1, 64)}, file)
    chosen = [{"path": str(file), "token": "<style>"}]
    pipe, _ = open_model(str(tmp_path / "xl"), "cpu", False, None, {"embeddings": chosen})
    for end in ("", "_2"):
        words, encoder = getattr(pipe, f"tokenizer{end}"), getattr(pipe, f"text_encoder{end}")
        (token,) = words("<style>", add_special_tokens=False).input_ids
        assert encoder.get_input_embeddings().weight[token].eq(1).all()
    save_file({"<style>": torch.ones(32)}, file)
    with pytest.raises(StrategyError, match="has one matrix"):
        open_model(str(tmp_path / "xl"), "cpu", False, None, {"embeddings": chosen})


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


@pytest.mark.parametrize("backend", sorted(quantizing.PACKAGES))
def test_a_backend_runs_or_names_its_package(backend: str, folder: Path) -> None:
    kind = TYPES[backend][0]
    module, package = quantizing.PACKAGES[backend]
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    parts = {"quantize": [{"backend": backend, "type": kind}]}
    if not there:
        with pytest.raises(StrategyError, match=f"pip install {package}"):
            open_model(str(folder), "cpu", False, None, parts)
        return
    if backend == "bitsandbytes" and not torch.cuda.is_available():
        with pytest.raises(StrategyError, match="needs a GPU"):
            open_model(str(folder), "cpu", False, None, parts)
        return
    pipe, _ = open_model(str(folder), "cpu", False, None, parts)
    assert torch.isfinite(draw(pipe, **SMALL)).all()


def test_parts_that_exclude_each_other(folder: Path, tmp_path: Path) -> None:
    file = str(original.write(kohya(build("sd1").unet), tmp_path / "kohya.safetensors"))
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


def test_group_offload_draws_the_same(folder: Path) -> None:
    pipe, _ = open_model(str(folder), "cpu", False, None, {"offload": "group"})
    assert torch.equal(draw(pipe, **SMALL), draw(build("sd1"), **SMALL))


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


def test_a_search_with_a_lora_notes_it_and_refuses_another(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = original.write(kohya(build("sd1").unet), tmp_path / "style.safetensors")
    run = tmp_path / "run"
    asked = ["--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "1"]
    asked += ["--base-steps", "3", "--steps", "2,3", "--schedulers", "DDIM", "--size", "32"]
    asked += ["--batch", "2", "--objective", "psnr", "--objective", "macs"]
    asked += ["--methods", "deepcache", "--out", str(run), "--budget", "12evals"]
    assert search.cli.main([*asked, "--model", str(folder), "--lora", f"{file}=0.5"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert sum("weight 0.5, beside the weights: 4 layers" in line for line in told) == 1
    (made, *_) = sorted((run / "strategies").glob("*.json"))
    found = json.loads(made.read_text())["provenance"]
    assert "lora 1" in found["weights"]
    assert found["parts"]["loras"] == [{"path": str(file), "weight": 0.5, "fuse": False}]
    assert "peft" in model_files.packages(ModelParts(loras=(Lora(path=str(file)),)))
    again = ["--resume", str(run), "--budget", "14evals"]
    assert search.cli.main([*again, "--lora", str(file)]) == 2
    assert "--lora cannot change in a resumed run" in capsys.readouterr().err
    tensors = load_file(file)
    original.write({key: value * 2 for key, value in tensors.items()}, file)
    assert search.cli.main(again) == 2
    assert "lora 1 of the model" in capsys.readouterr().err
