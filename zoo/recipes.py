"""In which stages the denoiser of each bundled model is trained, and how long each takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoo import tiny_pixart, tiny_sd
from zoo.training.diffusion import Plan

# The model whose training makes the networks, the autoencoder and the prompt lists of all.
FIRST = "tiny-sd"


@dataclass(frozen=True)
class Stage:
    """One run of diffusion training.

    Attributes:
        folder: of its checkpoints, within the work folder.
        begin: gives `zoo.parts.Parts` to train, from those of the stage before, if there is one.
        plan: how long and how to train.
    """

    folder: str
    begin: Callable[[Any], Any]
    plan: Plan


STAGES = {
    "tiny-sd": (Stage(".", lambda _: tiny_sd.build(), Plan(220_000, 60_000)),),
    # Coarse to fine, as PixArt grows its resolution: with patches of two an image costs a fifth.
    "tiny-pixart": (
        Stage(
            "coarse",
            lambda _: tiny_pixart.coarse(),
            Plan(160_000, 0, learning_rate=1e-3, save_every=32_000),
        ),
        Stage(
            ".",
            tiny_pixart.refine,
            Plan(224_000, 32_000, start=160_000, learning_rate=1e-3),
        ),
    ),
}
