"""Recipes of the bundled models: their data, their stages of training, and the length of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diffusers import AutoencoderKL

from zoo import tiny_pixart, tiny_portraits, tiny_sd
from zoo.portraits import coarse
from zoo.subjects import PORTRAITS, SHAPES, Subject
from zoo.training.diffusion import Plan

# The model whose training makes the networks, the autoencoder and the prompt lists of shapes.
FIRST = "tiny-sd"


@dataclass(frozen=True)
class TrainingStage:
    """One run of diffusion training.

    Attributes:
        folder: folder of its checkpoints, within the work folder.
        begin: function that gives the `zoo.parts.Parts` to train, from those of the stage before,
            if there is one.
        plan: length and settings of the training.
    """

    folder: str
    begin: Callable[[Any], Any]
    plan: Plan


@dataclass(frozen=True)
class Recipe:
    """Settings of the training of one model.

    Attributes:
        subject: subject that it draws.
        stages: stages of the denoiser, in order.
        takes: model whose networks and autoencoder it shares, if it does not train its own.
        images: number of images in the training set.
        spread: standard deviation of the scaled latents.
        features: batches that the feature network sees.
        vae: function that makes an untrained autoencoder.
        autoencoder: batches that the autoencoder sees.
        autoencoder_batch: images or tiles per batch.
        judge: batches that the judge sees.
        text: batches that the text encoder sees before the denoiser is trained.
        scored: images of the scores that are printed during training.
        reconstructed: share of images that the judge sees after the autoencoder.
    """

    subject: Subject
    stages: tuple[TrainingStage, ...]
    takes: str | None = None
    images: int = 60_000
    spread: float = 0.5
    features: int = 1100
    vae: Callable[[], AutoencoderKL] = tiny_sd.vae
    autoencoder: int = 1100
    autoencoder_batch: int = 32
    judge: int = 600
    text: int = 600
    scored: int = 2048
    reconstructed: float = 0.5


RECIPES = {
    "tiny-sd": Recipe(
        SHAPES, (TrainingStage(".", lambda _: tiny_sd.build(), Plan(220_000, 60_000)),)
    ),
    "tiny-pixart": Recipe(
        SHAPES,
        # Like PixArt's growing resolution: with patches of two an image costs a fifth.
        (
            TrainingStage(
                "coarse",
                lambda _: tiny_pixart.coarse(),
                Plan(160_000, 0, learning_rate=1e-3, save_every=32_000),
            ),
            TrainingStage(
                ".",
                tiny_pixart.refine,
                Plan(224_000, 32_000, start=160_000, learning_rate=1e-3),
            ),
        ),
        takes="tiny-sd",
    ),
    "tiny-portraits": Recipe(
        PORTRAITS,
        (
            TrainingStage(
                "coarse",
                lambda _: coarse.build(),
                Plan(240_000, 60_000, pool=coarse.POOL, cast_on_cpu=False),
            ),
            # Steps with a quarter of the keys take half as long.
            TrainingStage(
                "fewer-keys",
                coarse.grow,
                Plan(284_000, 0, start=240_000, spread=0.5, keys=2, cast_on_cpu=False),
            ),
            TrainingStage(
                ".",
                lambda before: before,
                Plan(296_000, 11_000, start=284_000, spread=0.5, cast_on_cpu=False),
            ),
        ),
        images=40_000,
        spread=0.25,
        features=1200,
        vae=tiny_portraits.vae,
        autoencoder=2500,
        autoencoder_batch=8,
        judge=600,
        scored=512,
        reconstructed=0.125,
    ),
}
STAGES = {name: recipe.stages for name, recipe in RECIPES.items()}
