"""ControlNets beside a model: read from folders and files, through every command, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import accel.cli
import search.cli
from accel.models.parts import ModelParts
from evaluate import model_files
from tests.support.models import opened_laws, steered_transformers
from tests.support.models import original_layout as original
from tests.support.models.model_commands import fails
from tests.support.models.model_walk import walk
from tests.support.models.opened_models import SEARCHED, opened, refused
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.transformer_pipelines import draw as transformer_draw
from tests.support.pipelines.unet_pipelines import build, draw

HINTS = (8, 16)  # One halving, as the tiny autoencoder has.


def network(hints: tuple[int, ...] = HINTS, model: str = "sd1") -> Any:
    """A ControlNet whose outputs are not zero, as those of a fresh one are."""
    torch.manual_seed(0)
    made = diffusers.ControlNetModel.from_unet(
        build(model).unet, conditioning_embedding_out_channels=hints
    )
    ends = [made.controlnet_mid_block, made.controlnet_cond_embedding.conv_out]
    for block in [*made.controlnet_down_blocks, *ends]:
        torch.nn.init.normal_(block.weight, std=0.3)
    return made


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of four images."""
    noise, target = np.random.default_rng(0), tmp_path / "edges"
    target.mkdir()
    for number in range(4):
        pixels = noise.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(target / f"{number}.png")
    return target


def test_a_folder_and_a_file_steer_the_model(folder: Path, tmp_path: Path) -> None:
    made = network()
    made.save_pretrained(tmp_path / "net")
    file = original.write(made.state_dict(), tmp_path / "net.safetensors")
    want = diffusers.StableDiffusionControlNetPipeline(
        **build("sd1").components, controlnet=made, requires_safety_checker=False
    )
    for place in (tmp_path / "net", file):
        pipe = opened(folder, controlnet=str(place))
        assert type(pipe) is type(want)
        assert torch.equal(draw(pipe), draw(want))
    assert not torch.equal(draw(want), draw(build("sd1")))
    opened_laws.check(pipe)


@pytest.mark.parametrize("kind", ["sd3", "flux"])
def test_a_folder_steers_a_transformer(kind: str, tmp_path: Path) -> None:
    plain = transformer(kind)
    plain.save_pretrained(tmp_path / "model")
    made = steered_transformers.network(plain.transformer)
    made.save_pretrained(tmp_path / "net")
    pipe = opened(tmp_path / "model", controlnet=str(tmp_path / "net"))
    parts = plain.components | {"controlnet": made}
    found = opened_laws.check(pipe)
    assert opened_laws.alike(found, opened_laws.draw(type(pipe)(**parts)))
    assert not torch.equal(found, transformer_draw(plain))
    other = transformer("flux" if kind == "sd3" else "sd3")
    other.save_pretrained(tmp_path / "other")
    line = refused(tmp_path / "other", controlnet=str(tmp_path / "net"))
    assert "is of another kind of model" in line


def test_a_file_under_the_authors_names(folder: Path, tmp_path: Path) -> None:
    made = network((8, 8, 16, 16))
    file = original.write(original.controlnet(made), tmp_path / "net.safetensors")
    found = opened(folder, controlnet=str(file)).controlnet.state_dict()
    assert set(found) == set(made.state_dict())
    assert all(torch.equal(value, found[key]) for key, value in made.state_dict().items())


@pytest.mark.slow
@pytest.mark.usefixtures("few_turns")
def test_every_command_takes_it(folder: Path, images: Path, tmp_path: Path) -> None:
    network().save_pretrained(tmp_path / "net")
    model = ["--model", folder, "--controlnet", tmp_path / "net"]
    found = walk(tmp_path, model, given=["--inputs", images])
    assert "controlnet" in found["weights"]
    assert found["parts"] == {"controlnet": str(tmp_path / "net")}
    image = sorted(images.iterdir())[0]
    plan = ["calibrate", "--prompt", "a circle", "--steps", "3", "--device", "cpu"]
    plan += [*map(str, model), "--control-image", str(image), "--out", str(tmp_path / "plan.json")]
    assert accel.cli.main(plan) == 0


def test_its_weights_are_part_of_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    found = []
    for number, std in enumerate((0.3, 0.4)):
        made, place = network(), tmp_path / f"{number}"
        torch.nn.init.normal_(made.controlnet_mid_block.weight, std=std)
        made.save_pretrained(place)
        found.append(model_files.model_digests(str(folder), ModelParts(controlnet=str(place))))
    assert found[0]["controlnet"] != found[1]["controlnet"]
    assert found[0]["unet"] == found[1]["unet"]


def test_one_that_does_not_fit_is_one_line(folder: Path, tmp_path: Path) -> None:
    network(model="sd2").save_pretrained(tmp_path / "heads")
    wide = network()
    wide.register_to_config(cross_attention_dim=128)
    wide.save_config(tmp_path / "wide")
    file = original.write(
        wide.state_dict(), tmp_path / "wide" / "diffusion_pytorch_model.safetensors"
    )
    assert "cannot be loaded" in refused(folder, controlnet=str(tmp_path / "wide"))
    assert "is of another kind of model: attention_head_dim [1, 2, 2, 2]" in refused(
        folder, controlnet=str(tmp_path / "heads")
    )
    assert "cannot be loaded" in refused(folder, controlnet=str(tmp_path / "none"))
    assert "holds a UNet2DConditionModel" in refused(folder, controlnet=str(folder / "unet"))
    data = file.read_bytes()
    (tmp_path / "half.safetensors").write_bytes(data[: len(data) // 2])
    assert "is cut" in refused(folder, controlnet=str(tmp_path / "half.safetensors"))
    other = original.write({"x": torch.ones(1)}, tmp_path / "other.safetensors")
    assert "has no tensor of a ControlNet" in refused(folder, controlnet=str(other))
    fewer = {k: v for k, v in network().state_dict().items() if "mid_block" not in k}
    file = original.write(fewer, tmp_path / "fewer.safetensors")
    line = refused(folder, controlnet=str(file))
    assert "cannot be loaded" in line or "are missing" in line
    (tmp_path / "net.bin").write_bytes(data)
    assert "can run any code" in refused(folder, controlnet=str(tmp_path / "net.bin"))
    transformer("pixart").save_pretrained(tmp_path / "pixart")
    network().save_pretrained(tmp_path / "net")
    line = refused(tmp_path / "pixart", controlnet=str(tmp_path / "net"))
    assert "no pipeline of PixArtSigmaPipeline" in line or "another kind of model" in line


def test_its_image_is_asked_for(
    folder: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network().save_pretrained(tmp_path / "net")
    model = ["--model", folder, "--controlnet", tmp_path / "net"]
    drawn = ["generate", "--strategy", "deepcache-n3", "--prompt", "x", "--out", "x.png", *model]
    assert "needs --control-image FILE" in fails(accel.cli.main, capsys, *drawn)
    text = tmp_path / "text.png"
    text.write_text("no image")
    line = fails(accel.cli.main, capsys, *drawn, "--control-image", text)
    assert "cannot be read as an image" in line
    alone = [*drawn[:-2], "--control-image", text]
    assert "--control-image goes with --controlnet" in fails(accel.cli.main, capsys, *alone)
    asked = [*SEARCHED, "--out", tmp_path / "run", "--budget", "2evals", *model]
    assert "--controlnet needs --inputs FOLDER" in fails(search.cli.main, capsys, *asked)
    line = fails(search.cli.main, capsys, *asked, "--inputs", images, "--task", "image-to-image")
    assert "controlnet: goes with text-to-image" in line
