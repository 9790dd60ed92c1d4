"""The base installation with the lowest version of each requirement that pyproject.toml allows.

`-m slow`: it builds an environment, with 6 GB of packages.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from tests.support.paths import ROOT

REQUIREMENTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
LOWEST = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(REQUIREMENTS), re.MULTILINE))
# SciPy is for the solvers of diffusers that need it.
TOOLS = ("pytest>=8.3", "hypothesis>=6.100", "scipy>=1.13")
# The laws of the sampler, the presets, the strategies, and the bundled models.
TESTS = (
    "tests/accel/laws/test_unet_laws.py",
    "tests/accel/laws/test_transformer_laws.py",
    "tests/accel/test_applying.py",
    "tests/strategies/test_presets.py",
    "tests/strategies/test_strategy.py",
)
# Law 6 is compared in float64, in which the CLIP text encoder of transformers 4.57 fails.
SELECTED = ("-k", "not law_6")
PROMPT = "a large red circle on the left on a plain dark background"
# A pipeline of one's own: its tokenizer has the files of transformers 4.
OWN = """
import json, pathlib, string, sys
import numpy as np, torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
import accel, zoo

folder = pathlib.Path(sys.argv[1])
letters = string.ascii_lowercase
vocab = ["<|startoftext|>", "<|endoftext|>", *letters, *(one + "</w>" for one in letters)]
(folder / "words").mkdir()
(folder / "words/vocab.json").write_text(json.dumps({one: i for i, one in enumerate(vocab)}))
(folder / "words/merges.txt").write_text("#version: 0.2\\n")
torch.manual_seed(0)
own = StableDiffusionPipeline(
    AutoencoderKL(
        block_out_channels=(16, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=8, latent_channels=4,
    ),
    CLIPTextModel(CLIPTextConfig(
        vocab_size=len(vocab), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=20, bos_token_id=0, eos_token_id=1,
    )),
    CLIPTokenizer.from_pretrained(folder / "words", model_max_length=20),
    UNet2DConditionModel(
        sample_size=16, block_out_channels=(32, 64), cross_attention_dim=32, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=8,
    ),
    DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
    None, None, requires_safety_checker=False,
)
own.save_pretrained(folder / "own")
own = StableDiffusionPipeline.from_pretrained(folder / "own")

def image(pipe, **given):
    noise = torch.Generator().manual_seed(0)
    return np.asarray(pipe(PROMPT, generator=noise, **given).images[0]).astype(int)

plain = image(own, num_inference_steps=6)
for preset in ("deepcache-n3", "tome-0.5", "tgate-0.4", "guidance-interval"):
    with accel.accelerated(own, preset) as fast:
        assert (image(fast, num_inference_steps=6) != plain).any(), preset
    assert (image(own, num_inference_steps=6) == plain).all(), preset
for name in zoo.MODELS:
    pipe = zoo.load(name)
    given = {"num_inference_steps": 5, **zoo.MODELS[name]}
    np.save(folder / f"{name}.npy", image(pipe, **given))
    with accel.accelerated(pipe, "deltacache-n2" if "pixart" in name else "deepcache-n2") as fast:
        assert (image(fast, **given) != np.load(folder / f"{name}.npy")).any()
"""


def test_every_requirement_has_a_lowest_version() -> None:
    assert len(LOWEST) == len(REQUIREMENTS)
    text = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
    stated = dict(re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \|", text, re.MULTILINE))
    assert stated == {name: LOWEST[name] for name in stated}
    assert {"torch", "diffusers", "transformers", "huggingface-hub"} <= set(stated)


@pytest.mark.slow
def test_the_sampler_works_with_the_lowest_versions(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pins = [f"{name}=={number}" for name, number in LOWEST.items()]
    install = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *pins], check=True, timeout=3000)
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format", "json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = {one["name"].lower() for one in json.loads(listed.stdout)}
    assert not names & {"ray", "pymoo", "optuna", "torchvision", "scipy", "pandas"}
    place = os.environ | {"PYTHONPATH": str(ROOT)}
    code = OWN.replace("PROMPT", repr(PROMPT))
    done = subprocess.run(
        [str(python), "-c", code, str(tmp_path)], capture_output=True, text=True, env=place
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in zoo.MODELS:
        noise = torch.Generator().manual_seed(0)
        given = {"generator": noise, "num_inference_steps": 5, **zoo.MODELS[name]}
        image = np.asarray(zoo.load(name)(PROMPT, **given).images[0]).astype(int)
        assert np.abs(np.load(tmp_path / f"{name}.npy") - image).max() <= 1, name
    subprocess.run([*install, *TOOLS], check=True, timeout=3000)
    # Warnings of other versions are not those that pyproject.toml names.
    done = subprocess.run(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", "-o", "filterwarnings=", *SELECTED,
         *TESTS],
        capture_output=True, text=True, env=place, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
