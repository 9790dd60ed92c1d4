"""Whether a bundled model needs its steps and its guidance.

    python -m benchmarks run steps_needed tiny-portraits --images 96
    python -m benchmarks run steps_needed tiny-portraits --work WORK  # a checkpoint

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
from numpy.typing import NDArray

import zoo
from evaluate import frechet_from_features
from zoo import MODELS, SUBJECTS, judging, networks
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
    parser.add_argument("--work", type=Path, help="of a training; default: the released model")
    parser.add_argument("--stage", type=int, default=-1, help="of the training; default: the last")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--package", type=Path, help="of the portraits' parts: archive or folder")
    parser.add_argument("--grid", type=Path, help="a picture: one row per setting")
    chosen = parser.parse_args()
    if chosen.work is None and (chosen.stage != -1 or chosen.package):
        parser.error("--stage and --package are of a training; name its folder with --work")
    if chosen.work is None:
        shipped = SUBJECTS[chosen.model]
        known = zoo.reference_features(shipped).numpy()
        measure(chosen.model, zoo.load(chosen.model), zoo.networks_folder(shipped), known, chosen)
        return
    stages = RECIPES[chosen.model].stages
    index = range(len(stages))[chosen.stage]
    parts = load_parts(chosen.model, chosen.work, index)
    seen = diffusion.take_average(parts, chosen.work / stages[index].folder)
    print(f"{chosen.model}, stage {index}, {seen} training images")
    subject = RECIPES[chosen.model].subject
    features = networks.load_network(subject.features, chosen.work / "features.safetensors")
    real = pictures(subject.open(chosen.work, chosen.package)(2048, SEED))
    with torch.inference_mode():
        known = features.features(real).numpy()
    measure(chosen.model, parts.pipeline(), chosen.work, known, chosen)


@torch.inference_mode()
def measure(
    model: str, pipe: Any, folder: Path, known: NDArray[Any], chosen: argparse.Namespace
) -> None:
    """Print a row for each setting.

    Args:
        model: name of the bundled model.
        pipe: its pipeline.
        folder: folder of its feature network and judge.
        known: features of real images, `[count, 64]`.
        chosen: flags.
    """
    subject = RECIPES[model].subject
    features = networks.load_network(subject.features, folder / "features.safetensors")
    judge = networks.load_network(subject.judge, folder / "judge.safetensors")
    captions = subject.prompts(chosen.images, SEED + 1)
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
