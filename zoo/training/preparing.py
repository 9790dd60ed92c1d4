"""Stages before diffusion training: networks, autoencoder, latents and tokens, text encoder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo import folder, networks, networks_folder
from zoo.parts import Parts
from zoo.recipes import Recipe
from zoo.subjects import Sample
from zoo.training import autoencoder, classifiers, files, text
from zoo.training.classifiers import pictures

TRAIN_SEED = 1234
CHUNK = 2000


def take_networks(model: str, work: Path) -> None:
    """Copy the feature network, judge and autoencoder that ship with `model`."""
    for name in ("features.safetensors", "judge.safetensors"):
        shutil.copyfile(networks_folder() / name, work / name)
    shutil.copytree(folder(model) / "vae", work / "vae", dirs_exist_ok=True)


def train_features(work: Path, recipe: Recipe, sample: Sample) -> None:
    """Train the feature network."""
    if (work / "features.safetensors").exists():
        return
    torch.manual_seed(1)
    network = recipe.subject.features()
    classifiers.train(network, recipe.features, 1, recipe.subject, sample, _same)
    print("features", classifiers.score(network, recipe.scored, recipe.subject, sample, _same))
    _keep(network.state_dict(), work / "features.safetensors")


def train_autoencoder(work: Path, recipe: Recipe, sample: Sample) -> None:
    """Train the autoencoder."""
    if (work / "vae").exists():
        return
    torch.manual_seed(2)
    vae = recipe.vae()
    steps, batch = recipe.autoencoder, recipe.autoencoder_batch
    autoencoder.train(vae, steps, 2, sample, recipe.spread, batch)
    real = pictures(sample(min(256, recipe.scored), classifiers.REAL_SEED))
    print("autoencoder", round(autoencoder.reconstruction_psnr(vae, real), 2), "dB", flush=True)
    files.make(work / "vae", vae.save_pretrained)


def train_judge(work: Path, recipe: Recipe, sample: Sample) -> None:
    """Train the judge, on real and on reconstructed images."""
    if (work / "judge.safetensors").exists():
        return
    vae = AutoencoderKL.from_pretrained(work / "vae")
    torch.manual_seed(3)
    judge = recipe.subject.judge()
    rough = _rough(vae, recipe.reconstructed)
    classifiers.train(judge, recipe.judge, 3, recipe.subject, sample, rough)
    for name, change in (("real", _same), ("reconstructed", _decoded(vae))):
        right = classifiers.score(judge, recipe.scored, recipe.subject, sample, change)
        print("judge on", name, right, flush=True)
    _keep(judge.state_dict(), work / "judge.safetensors")


def _same(images: Tensor) -> Tensor:
    return images


def _decoded(vae: AutoencoderKL) -> classifiers.Augment:
    return lambda images: autoencoder.reconstruct(vae, images)


def _rough(vae: AutoencoderKL, share: float) -> classifiers.Augment:
    """Augmentation like generated images: some real, some reconstructed, with noise and blur."""
    generator = torch.Generator().manual_seed(3)

    def change(images: Tensor) -> Tensor:
        real = len(images) - int(len(images) * share)
        images = torch.cat([images[:real], autoencoder.reconstruct(vae, images[real:])])
        blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
        amount = torch.rand(len(images), 1, 1, 1, generator=generator) * 0.6
        noise = torch.randn(images.shape, generator=generator) * 0.08
        noise *= torch.rand(len(images), 1, 1, 1, generator=generator)
        return (images + amount * (blurred - images) + noise).clamp(0, 1)

    return change


def encode_data(work: Path, recipe: Recipe, sample: Sample) -> None:
    """Generate the training set: latents, tokens, and the features that captions are matched to."""
    if (work / "data.safetensors").exists():
        return
    vae = AutoencoderKL.from_pretrained(work / "vae")
    features = networks.load_network(recipe.subject.features, work / "features.safetensors")
    words: Any = recipe.stages[0].begin(None).tokenizer
    latents, tokens, seen = [], [], []
    for start in range(0, recipe.images, CHUNK):
        count = min(CHUNK, recipe.images - start)
        scenes = sample(count, TRAIN_SEED * 1000 + start, recipe.subject.mistakes)
        latents.append(autoencoder.encode_latents(vae, scenes.images))
        tokens.append(_tokens(words, scenes.captions))
        with torch.inference_mode():
            seen.append(features.features(pictures(scenes)))
        print(f"encoded {start + count} of {recipe.images}", flush=True)
    table = {
        "latents": torch.from_numpy(np.ascontiguousarray(np.concatenate(latents))),
        "tokens": torch.cat([*tokens, _tokens(words, [""])]).contiguous(),
        "features": torch.cat(seen),
    }
    _keep(table, work / "data.safetensors")


def train_text(work: Path, recipe: Recipe) -> None:
    """Train the text encoder contrastively."""
    if (work / "text").exists():
        return
    torch.manual_seed(4)
    parts: Parts = recipe.stages[0].begin(None)
    table = load_file(work / "data.safetensors")
    text.train(parts, table["tokens"][:-1], table["features"], recipe.text)
    files.make(work / "text", parts.text_encoder.save_pretrained)


def _tokens(words: Any, captions: Sequence[str]) -> Tensor:
    ids: Tensor = words(captions, padding="max_length", return_tensors="pt").input_ids
    return ids


def _keep(tensors: dict[str, Tensor], path: Path) -> None:
    files.make(path, lambda part: save_file(tensors, part))
