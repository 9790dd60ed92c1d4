"""Write a trained model as it ships: `python -m zoo.export tiny-sd`.

This writes the fp16 pipeline and the model card with scores and pictures. For a model whose
training makes them, it also writes the networks, the reference features and the prompt lists of its
subject.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from strategies import StrategyError
from strategies.commands.interrupts import run_interruptible
from zoo import models_folder, networks, networks_folder
from zoo.card import write_card
from zoo.recipes import RECIPES, STAGES
from zoo.subjects import Sample, Subject
from zoo.train import load_parts
from zoo.training import diffusion, snapshots
from zoo.training.classifiers import pictures

REFERENCE_SEED, SEARCH_SEED, HELDOUT_SEED = 424_242, 11, 12
PROMPTS = {"search": (SEARCH_SEED, 512), "heldout": (HELDOUT_SEED, 2048)}


def parser() -> argparse.ArgumentParser:
    """Parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m zoo.export", description=__doc__)
    made.add_argument("model", choices=list(STAGES))
    made.add_argument(
        "--work", type=Path, help="work folder of the training (default: .train/MODEL)"
    )
    made.add_argument(
        "--images", type=int, default=280, help="number of images to judge for the card"
    )
    made.add_argument(
        "--package", type=Path, help="package of the portraits' parts: archive or folder"
    )
    made.add_argument(
        "--snapshot",
        action="store_true",
        help="write only zoo/snapshots/MODEL, from which an unfinished training continues",
    )
    return made


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    chosen = parser().parse_args(arguments)
    work = chosen.work or Path(".train") / chosen.model
    try:
        if chosen.snapshot:
            stages = [stage.folder for stage in STAGES[chosen.model]]
            snapshots.write_snapshot(work, stages, snapshots.snapshot_folder(chosen.model))
            return
        export(chosen.model, work, chosen.images, chosen.package)
    except StrategyError as error:
        sys.exit(f"error: {error}")


def export(model: str, work: Path, images: int, package: Path | None) -> None:
    """Write the shipped files of `model` into the package's folders.

    Args:
        model: name in `zoo.recipes.RECIPES`.
        work: folder of its training.
        images: number of images to judge for the card.
        package: package of the parts that images are drawn from, if there is one.

    Raises:
        StrategyError: it is not trained, or the package is missing.
    """
    recipe = RECIPES[model]
    sample = recipe.subject.open(work, package)
    parts = load_parts(model, work, len(recipe.stages) - 1)
    seen = diffusion.take_average(parts, work / recipe.stages[-1].folder)
    if not recipe.takes:
        write_networks(work, recipe.subject, sample)
        write_prompts(recipe.subject)
    target = models_folder() / model
    shutil.rmtree(target, ignore_errors=True)
    pipe = parts.pipeline().to(dtype=torch.float16)
    pipe.save_pretrained(target)
    write_card(target, work, seen, images, sample)


def write_networks(work: Path, subject: Subject, sample: Sample) -> None:
    """Write the feature network, the judge, and features of real images that no training saw."""
    target = networks_folder(subject.name)
    target.mkdir(exist_ok=True)
    for name in ("features.safetensors", "judge.safetensors"):
        weights = load_file(work / name)
        halves = {k: w.half() if w.is_floating_point() else w for k, w in weights.items()}
        save_file(halves, target / name)
    network = networks.load_network(subject.features, target / "features.safetensors")
    pixels = (pictures(sample(2048, REFERENCE_SEED)) * 255).round() / 255
    with torch.inference_mode():
        parts = [network.features(part) for part in pixels.split(256)]
    save_file({"features": torch.cat(parts)}, target / "reference.safetensors")


def write_prompts(subject: Subject) -> None:
    """Write the fixed prompt lists, one caption per line."""
    inside = networks_folder(subject.name).relative_to(networks_folder())
    target = networks_folder().parent / "prompts" / inside
    target.mkdir(exist_ok=True)
    for name, (seed, count) in PROMPTS.items():
        text = "".join(f"{caption}\n" for caption in subject.prompts(count, seed))
        (target / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
