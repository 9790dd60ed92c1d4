"""Folders that lost something are refused in one line; folders as people have them load."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from peft import LoraConfig
from safetensors.torch import load_file, save_file

import zoo
from accel import cli
from accel.models.loading import load_folder
from strategies import StrategyError
from tests.support.pipelines import transformer_pipelines as tiny
from tests.support.pipelines import unet_pipelines

TOPOLOGIES = ("sd1", "sd3", "pixart", "flux", "dit")
# A part of each kind: diffusers' networks, CLIP, T5.
PARTS = [
    ("sd1", "unet"),
    ("sd1", "vae"),
    ("sd1", "text_encoder"),
    ("sd3", "transformer"),
    ("sd3", "text_encoder_2"),
    ("sd3", "text_encoder_3"),
    ("pixart", "text_encoder"),
    ("flux", "transformer"),
    ("dit", "transformer"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of each topology, written once."""
    top = tmp_path_factory.mktemp("models")

    def folder(model: str) -> Path:
        if not (top / model).exists():
            made = (
                unet_pipelines.build(model) if model in unet_pipelines.MODELS else tiny.build(model)
            )
            made.save_pretrained(top / model)
        return top / model

    return folder


@pytest.fixture
def copied(saved: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of such a folder, to break."""

    def folder(model: str) -> Path:
        return Path(shutil.copytree(saved(model), tmp_path / model))

    return folder


def weights(part: Path) -> Path:
    return next(part.glob("*.safetensors"))


def change(part: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(weights(part))
    edit(tensors)
    save_file(tensors, weights(part), {"format": "pt"})


def refused(folder: Path) -> str:
    with pytest.raises(StrategyError) as caught:
        load_folder(str(folder))
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("model", TOPOLOGIES)
@pytest.mark.parametrize("shards", [False, True])
def test_whole_folders_load(
    model: str, shards: bool, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = saved(model)
    if shards:
        folder = tmp_path / "shards"
        load_folder(str(saved(model))).save_pretrained(folder, max_shard_size="50KB")
        assert list(folder.glob("*/*-of-*.safetensors"))
    load_folder(str(folder))


@pytest.mark.parametrize(("model", "part"), PARTS)
def test_a_lacking_weight_is_named(model: str, part: str, copied: Callable[[str], Path]) -> None:
    folder = copied(model)
    lost: list[str] = []

    def lose(tensors: dict[str, torch.Tensor]) -> None:
        keys = [key for key in sorted(tensors) if key.endswith("weight")]
        lost.append(keys[len(keys) // 2])
        del tensors[lost[0]]

    change(folder / part, lose)
    assert f"{part} lacks {lost[0].removeprefix('text_model.')}" in refused(folder).replace(
        "text_model.", ""
    )


@pytest.mark.parametrize(("model", "part"), PARTS)
def test_a_weight_without_a_place_is_named(
    model: str, part: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(model)
    change(folder / part, lambda tensors: tensors.update({"extra.lora_A.weight": torch.ones(2, 2)}))
    assert f"{part} has no place for extra.lora_A.weight" in refused(folder)


@pytest.mark.parametrize(("model", "part"), [("sd1", "text_encoder"), ("sd3", "text_encoder_2")])
def test_what_older_files_keep_besides_is_taken(
    model: str, part: str, copied: Callable[[str], Path]
) -> None:
    folder = copied(model)
    more = {
        "text_model.embeddings.position_ids": torch.arange(20)[None],
        "logit_scale": torch.ones(()),
        "vision_model.post_layernorm.weight": torch.ones(2),
    }
    change(folder / part, lambda tensors: tensors.update(more))
    load_folder(str(folder))


def test_all_parts_are_in_one_line(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    for part in ("unet", "text_encoder"):
        change(folder / part, lambda tensors: tensors.pop(sorted(tensors)[0]))
    (folder / "tokenizer" / "tokenizer.json").unlink()
    text = refused(folder)
    assert all(f"{part} lacks" in text for part in ("unet", "text_encoder"))
    assert "tokenizer knows 2 tokens" in text


def test_a_network_that_was_saved_with_its_lora_says_so(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    pipe = load_folder(str(saved("sd1")))
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
    pipe.save_pretrained(tmp_path / "lora")
    text = refused(tmp_path / "lora")
    assert "unet was saved with a LoRA in place" in text
    assert "fuse_lora" in text
    assert "--lora" in text


TOKENIZERS = [("sd1", "tokenizer"), ("sd3", "tokenizer_2"), ("sd3", "tokenizer_3")]


@pytest.mark.parametrize(("model", "name"), TOKENIZERS)
def test_a_lost_vocabulary_is_told(model: str, name: str, copied: Callable[[str], Path]) -> None:
    folder = copied(model)
    (folder / name / "tokenizer.json").unlink()
    text = refused(folder)
    assert f"{name} knows" in text
    assert "tokenizer.json" in text


def test_a_lost_length_is_told(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    (folder / "tokenizer" / "tokenizer_config.json").unlink()
    assert "tokenizer_config.json may be lost" in refused(folder)


@pytest.mark.parametrize("spare", [0, 3])
def test_padded_embeddings_are_taken(spare: int, copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    encoder = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder")
    encoder.resize_token_embeddings(encoder.config.vocab_size + spare)
    encoder.save_pretrained(folder / "text_encoder")
    load_folder(str(folder))


FILES = sorted(
    str(path.relative_to(zoo.folder("tiny-sd")))
    for path in zoo.folder("tiny-sd").glob("*/*")
    if path.suffix in (".json", ".safetensors")
)


@pytest.mark.parametrize("lost", FILES)
def test_any_lost_file_is_one_error(lost: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(zoo.folder("tiny-sd"), tmp_path / "model"))
    (folder / lost).unlink()
    if lost.startswith("feature"):
        load_folder(str(folder))
        return
    refused(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_file_that_was_cut_is_one_error(part: str, copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    path = weights(folder / part)
    path.write_bytes(path.read_bytes()[:-100])
    assert part in refused(folder)


def test_a_pointer_in_the_place_of_weights_is_one_error(copied: Callable[[str], Path]) -> None:
    folder = copied("sd1")
    weights(folder / "unet").write_text("version https://example.org/spec/v1\noid sha256:00\n")
    assert "git-lfs" in refused(folder)


def test_the_command_says_it_in_one_line(
    copied: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied("sd1")
    change(folder / "text_encoder", lambda tensors: tensors.pop(sorted(tensors)[0]))
    given = ["generate", "--model", str(folder), "--strategy", "deepcache-n3", "--prompt", "a"]
    assert cli.main([*given, "--out", str(tmp_path / "a.png"), "--device", "cpu"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert "text_encoder lacks" in errors[0]


def test_loading_functions_are_put_back(copied: Callable[[str], Path]) -> None:
    kinds = (diffusers.ModelMixin, transformers.PreTrainedModel)
    before = [kind.__dict__["from_pretrained"] for kind in kinds]
    folder = copied("sd1")
    load_folder(str(folder))
    (folder / "unet" / "config.json").unlink()
    refused(folder)
    assert [kind.__dict__["from_pretrained"] for kind in kinds] == before
