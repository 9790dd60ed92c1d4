"""Write a trained model as it ships: `python -m zoo.export tiny-sd`.

fp16 pipeline, networks, reference features, prompt lists, model card with figures and pictures.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from zoo import data, folder, networks, networks_folder, tiny_sd
from zoo.card import write_card
from zoo.train import load_parts

REFERENCE_SEED, SEARCH_SEED, HELDOUT_SEED = 424_242, 11, 12
PROMPTS = {"search": (SEARCH_SEED, 512), "heldout": (HELDOUT_SEED, 2048)}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo.export", description=__doc__)
    parser.add_argument("model", choices=["tiny-sd"])
    parser.add_argument("--work", type=Path, default=Path(".train/tiny-sd"))
    parser.add_argument("--images", type=int, default=280, help="judged for the card")
    chosen = parser.parse_args(arguments)
    parts, seen = trained_parts(chosen.work)
    target = folder("tiny-sd")
    write_networks(chosen.work)
    write_prompts()
    shutil.rmtree(target, ignore_errors=True)
    pipe = parts.pipeline().to(dtype=torch.float16)
    pipe.save_pretrained(target)
    write_card(target, chosen.work, seen, chosen.images)


def trained_parts(work: Path) -> tuple[tiny_sd.Parts, int]:
    """The parts with the averaged weights of the last checkpoint, and the images they saw."""
    parts = load_parts(work)
    with safe_open(work / "last.safetensors", "pt") as file, torch.no_grad():
        for prefix, module in (("unet", parts.unet), ("text_encoder", parts.text_encoder)):
            for name, weight in module.named_parameters():
                weight.copy_(file.get_tensor(f"average/{prefix}.{name}"))
        return parts, int(file.metadata()["seen"])


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
