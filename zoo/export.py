"""Write a trained model as it ships: `python -m zoo.export tiny-sd`.

fp16 pipeline, model card with figures and pictures; of tiny-sd, whose training makes them, also the
networks, the reference features and the prompt lists.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from zoo import data, folder, networks, networks_folder, tiny_sd
from zoo.card import write_card
from zoo.recipes import FIRST, STAGES
from zoo.train import load_parts
from zoo.training import diffusion

REFERENCE_SEED, SEARCH_SEED, HELDOUT_SEED = 424_242, 11, 12
PROMPTS = {"search": (SEARCH_SEED, 512), "heldout": (HELDOUT_SEED, 2048)}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo.export", description=__doc__)
    parser.add_argument("model", choices=list(STAGES))
    parser.add_argument("--work", type=Path, help="default: .train/MODEL")
    parser.add_argument("--images", type=int, default=280, help="judged for the card")
    chosen = parser.parse_args(arguments)
    work = chosen.work or Path(".train") / chosen.model
    last = len(STAGES[chosen.model]) - 1
    parts = load_parts(chosen.model, work, last)
    seen = diffusion.take_average(parts, work / STAGES[chosen.model][last].folder)
    target = folder(chosen.model)
    if chosen.model == FIRST:
        write_networks(work)
        write_prompts()
    shutil.rmtree(target, ignore_errors=True)
    pipe = parts.pipeline().to(dtype=torch.float16)
    pipe.save_pretrained(target)
    write_card(target, work, seen, chosen.images)


def write_networks(work: Path) -> None:
    """Feature network, judge, and the features of real images that no training saw."""
    target = networks_folder()
    target.mkdir(exist_ok=True)
    for name in ("features.safetensors", "judge.safetensors"):
        weights = load_file(work / name)
        halves = {k: w.half() if w.is_floating_point() else w for k, w in weights.items()}
        save_file(halves, target / name)
    network = networks.load(networks.FeatureNet, target / "features.safetensors")
    images = data.sample(2048, REFERENCE_SEED, tiny_sd.IMAGE_SIZE).images
    pixels = (torch.from_numpy(images) * 255).round() / 255
    with torch.inference_mode():
        parts = [network.features(part) for part in pixels.permute(0, 3, 1, 2).split(256)]
    save_file({"features": torch.cat(parts)}, target / "reference.safetensors")


def write_prompts() -> None:
    """The fixed prompt lists, one caption per line."""
    target = networks_folder().parent / "prompts"
    target.mkdir(exist_ok=True)
    for name, (seed, count) in PROMPTS.items():
        rows = data.sample_labels(count, np.random.default_rng(seed))
        text = "".join(f"{data.caption(row)}\n" for row in rows)
        (target / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
