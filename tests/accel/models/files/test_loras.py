"""LoRAs in each form: what they add, their weights, their removal, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import accel
import accel.cli
import search.cli
from accel.models.files import loras
from accel.models.parts import Lora, ModelParts
from accel.models.resolve import open_model
from evaluate import model_files
from strategies import StrategyError
from tests.support.models import lora_writers as writers
from tests.support.models import original_layout as original
from tests.support.models.opened_models import SMALL
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.unet_pipelines import build, draw, strategy


def test_every_form_of_a_lora_adds_the_same(folder: Path, tmp_path: Path) -> None:
    want, plain = draw(writers.merged(), **SMALL), draw(build("sd1"), **SMALL)
    assert (want - plain).abs().max() > 0.05
    for name, file in writers.files(tmp_path):
        for fuse in (False, True):
            one = {"path": str(file), "fuse": fuse}
            pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": [one]})
            assert (draw(pipe, **SMALL) - want).abs().max() < 1e-3, (name, fuse)
            if not fuse:
                assert loras.count_changed_layers(pipe, "lora_1") == len(writers.LAYERS)


def test_a_weight_scales_a_lora_and_two_are_added(folder: Path, tmp_path: Path) -> None:
    file = str(original.write(writers.kohya(build("sd1").unet), tmp_path / "kohya.safetensors"))
    twice = [{"path": file, "weight": 0.25}, {"path": file, "weight": 0.5}]
    pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": twice})
    assert (draw(pipe, **SMALL) - draw(writers.merged(0.75), **SMALL)).abs().max() < 1e-3


def test_the_scale_that_diffusers_notes_is_used(folder: Path, tmp_path: Path) -> None:
    saved = writers.by_diffusers(tmp_path / "lora")
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
    file = str(original.write(writers.kohya(build("sd1").unet), tmp_path / "kohya.safetensors"))
    pipe, _ = open_model(str(folder), "cpu", False, None, {"loras": [file]})
    before = draw(pipe, **SMALL)
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 0]}}, calls=2))
    assert not torch.equal(draw(pipe, **SMALL), before)
    accel.remove(pipe)
    assert torch.equal(draw(pipe, **SMALL), before)


def test_a_lora_that_does_not_fit_is_one_line(folder: Path, tmp_path: Path) -> None:
    unet = build("sd1").unet
    good = writers.kohya(unet)

    def refused(tensors: dict[str, Tensor], name: str = "bad") -> str:
        file = original.write(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(StrategyError) as error:
            open_model(str(folder), "cpu", False, None, {"loras": [str(file)]})
        assert "\n" not in str(error.value)
        return str(error.value)

    other = {key.replace("down_blocks_0", "down_blocks_7"): value for key, value in good.items()}
    assert "does not fit this StableDiffusionPipeline" in refused(other)
    flux = writers.own(unet, "transformer.")
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


@pytest.mark.usefixtures("few_turns")
def test_a_search_with_a_lora_notes_it_and_refuses_another(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = original.write(writers.kohya(build("sd1").unet), tmp_path / "style.safetensors")
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
