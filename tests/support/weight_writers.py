"""Networks with random weights in the files that published weights come in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from evaluate import networks
from evaluate.networks import inception
from evaluate.networks.weight_files import VARIABLE, PublishedFile

WORDS = ["a", "red", "circle", "blue", "square", "of"]
CLIP = {
    "text_config": {
        "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 40, "max_position_embeddings": 16,
        "bos_token_id": 0, "eos_token_id": 1,
    },
    "vision_config": {
        "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
    },
    "projection_dim": 24,
}  # fmt: skip


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(192, 2048))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x))


class StandIn(nn.Module):
    """What clean-fid reads of the TorchScript file: `layers`, from [-1, 1] to 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def write_inception(path: Path) -> None:
    torch.jit.script(StandIn()).save(str(path))


def write_port(path: Path) -> None:
    network = inception.port()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)


def write_alexnet(path: Path) -> None:
    state = torchvision.models.alexnet(weights=None).state_dict()
    for name, value in state.items():  # LPIPS reads no classifier; one number stands for it.
        if name.startswith("classifier"):
            state[name] = torch.zeros(1).expand(value.shape)
    torch.save(state, path)


def write_clip(path: Path) -> None:
    model = CLIPModel(CLIPConfig.from_dict(CLIP))
    torch.save(model.state_dict(), path)
    model.config.save_pretrained(path.parent)
    marks = ["<|startoftext|>", "<|endoftext|>"]
    letters = sorted({letter for word in WORDS for letter in word})
    tokens = [*marks, *letters, *(f"{letter}</w>" for letter in letters)]
    (path.parent / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (path.parent / "merges.txt").write_text("#version: 0.2\n")
    settings = {"bos_token": marks[0], "eos_token": marks[1], "unk_token": marks[1],
                "pad_token": marks[1], "tokenizer_class": "CLIPTokenizer"}  # fmt: skip
    (path.parent / "tokenizer_config.json").write_text(json.dumps(settings))


def write_reward(path: Path) -> None:
    """ImageReward's names, with two layers of one or two heads; the words of BERT beside it."""
    seen, said, layers = 128, 64, 2
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, seen), "pos_embed": (1, 5, seen),
        "patch_embed.proj.weight": (seen, 3, 16, 16), "patch_embed.proj.bias": (seen,),
        **_pair("norm", seen),
    }  # fmt: skip
    for i in range(layers):
        shapes |= _pair(f"blocks.{i}.norm1", seen) | _pair(f"blocks.{i}.norm2", seen)
        for name, size in (("attn.qkv", (3 * seen, seen)), ("attn.proj", (seen, seen)),
                           ("mlp.fc1", (96, seen)), ("mlp.fc2", (seen, 96))):  # fmt: skip
            shapes |= _pair(f"blocks.{i}.{name}", *size)
    state = {f"blip.visual_encoder.{name}": torch.randn(size) for name, size in shapes.items()}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    shapes = {"word_embeddings.weight": (len(words), said),
              "position_embeddings.weight": (40, said), **_pair("LayerNorm", said)}  # fmt: skip
    shapes = {f"embeddings.{name}": size for name, size in shapes.items()}
    for i in range(layers):
        layer = f"encoder.layer.{i}"
        for kind, source in (("attention", said), ("crossattention", seen)):
            shapes |= _pair(f"{layer}.{kind}.self.query", said, said)
            shapes |= _pair(f"{layer}.{kind}.self.key", said, source)
            shapes |= _pair(f"{layer}.{kind}.self.value", said, source)
            shapes |= _pair(f"{layer}.{kind}.output.dense", said, said)
            shapes |= _pair(f"{layer}.{kind}.output.LayerNorm", said)
        shapes |= _pair(f"{layer}.intermediate.dense", 96, said)
        shapes |= _pair(f"{layer}.output.dense", said, 96) | _pair(
            f"{layer}.output.LayerNorm", said
        )
    state |= {f"blip.text_encoder.{name}": torch.randn(size) for name, size in shapes.items()}
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    state["blip.vision_proj.weight"] = torch.randn(8, seen)  # Of its training; not read.
    sizes = (said, 32, 16, 8, 4, 1)
    for place, (inputs, outputs) in zip((0, 2, 4, 6, 7), pairwise(sizes), strict=True):
        state |= {
            f"mlp.layers.{place}.weight": torch.randn(outputs, inputs) / inputs**0.5,
            f"mlp.layers.{place}.bias": torch.randn(outputs),
        }
    torch.save(state, path)
    (path.parent / "vocab.txt").write_text("\n".join(words) + "\n")


def _pair(name: str, *size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": size, f"{name}.bias": size[:1]}


WRITERS = {
    "inception": write_inception,
    "inception-spatial": write_port,
    "inception-classes": write_port,
    "clip-b32": write_clip,
    "clip-l14-336": write_clip,
    "clip-score": write_clip,
    "image-reward": write_reward,
    "lpips": write_alexnet,
}


def provide(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights of a network in the cache `folder`, with checksums that are theirs."""
    monkeypatch.setenv(VARIABLE, str(folder))
    source = networks.SOURCES[name]
    first = folder / "weights" / source.weights[0].name
    first.parent.mkdir(parents=True, exist_ok=True)
    if not first.exists():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            WRITERS[name](first)
    known = []
    for weights in source.weights:
        path = folder / "weights" / weights.name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if weights.sha256 else ""
        known.append(PublishedFile(weights.name, weights.url, found))
    changed = dataclasses.replace(source, weights=tuple(known))
    monkeypatch.setitem(networks.SOURCES, name, changed)
