"""Whether a bundled model needs its steps and its guidance, measured on a checkpoint.

A search over schedules says little about a model that draws as well in two unguided steps as in 25
guided ones. Right answers and FD to real images, each for few and for many steps, with and without
guidance; the same captions and noise everywhere, trailing DDIM steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler

from evaluate import frechet_from_features
from zoo import MODELS, judging, networks
from zoo.card import grid
from zoo.recipes import RECIPES
from zoo.train import load_parts
from zoo.training import diffusion
from zoo.training.classifiers import pictures

SEED = 17
SETTINGS = ((25, 5.0), (25, 1.0), (8, 5.0), (4, 5.0), (4, 1.0), (2, 5.0), (2, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=list(RECIPES))
    parser.add_argument("--work", type=Path, help="default: .train/MODEL")
    parser.add_argument("--stage", type=int, default=-1, help="of the training; default: the last")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--package", type=Path, help="of the portraits' parts: archive or folder")
    parser.add_argument("--grid", type=Path, help="a picture: one row per setting")
    chosen = parser.parse_args()
    work = chosen.work or Path(".train") / chosen.model
    stages = RECIPES[chosen.model].stages
    index = range(len(stages))[chosen.stage]
    parts = load_parts(chosen.model, work, index)
    seen = diffusion.take_average(parts, work / stages[index].folder)
    print(f"{chosen.model}, stage {index}, {seen} training images")
    measure(chosen.model, parts, work, chosen)


@torch.inference_mode()
def measure(model: str, parts: Any, work: Path, chosen: argparse.Namespace) -> None:
    subject = RECIPES[model].subject
    features = networks.load_network(subject.features, work / "features.safetensors")
    judge = networks.load_network(subject.judge, work / "judge.safetensors")
    real = pictures(subject.open(work, chosen.package)(2048, SEED))
    known = features.features(real).numpy()
    captions = subject.prompts(chosen.images, SEED + 1)
    pipe = parts.pipeline()
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
    rows = []
    print("| steps | guidance | right | worst attribute | FD to real |")
    print("| --- | --- | --- | --- | --- |")
    for steps, guidance in SETTINGS:
        images = []
        for start in range(0, chosen.images, 32):
            texts = captions[start : start + 32]
            images.append(
                pipe(
                    texts,
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    generator=torch.Generator().manual_seed(start),
                    output_type="pt",
                    **MODELS.get(model, {}),
                ).images.float()
            )
        drawn = torch.cat(images)
        right = {
            name: 100 * float(shares.nanmean())
            for name, shares in judging.right(judge, drawn, captions, subject).items()
            if not shares.isnan().all()  # The prompts name it.
        }
        mean, worst = sum(right.values()) / len(right), min(right, key=lambda name: right[name])
        distance = frechet_from_features(features.features(drawn).numpy(), known)
        print(
            f"| {steps} | {guidance:g} | {mean:.1f} % | {worst} {right[worst]:.1f} % "
            f"| {distance:.1f} |",
            flush=True,
        )
        rows.append(drawn[:12])
    if chosen.grid:
        grid(torch.cat(rows), columns=12).save(chosen.grid)


if __name__ == "__main__":
    main()
