"""Write a trained model as it ships: `python -m zoo.export tiny-sd`.

fp16 pipeline, networks, reference features, prompt lists, model card with figures and pictures.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from zoo import data, folder, judging, load, networks, networks_folder, tiny_sd
from zoo.train import REAL_SEED, load_parts
from zoo.training import autoencoder

REFERENCE_SEED, SEARCH_SEED, HELDOUT_SEED, CARD_SEED = 424_242, 11, 12, 13
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


def write_card(target: Path, work: Path, seen: int, count: int) -> None:
    """Judge the shipped weights and write README.md, card.json, the sample grid and the curve."""
    pipe: Any = load(target.name)
    rows = data.sample_labels(count, np.random.default_rng(CARD_SEED))
    captions = [data.caption(row) for row in rows]
    judge = networks.load(networks.JudgeNet, networks_folder() / "judge.safetensors")
    figures: dict[str, Any] = {"images_seen": seen, "judged_images": count, "steps": 25}
    for guidance in (4.0, 5.0, 8.0):
        images = draw(pipe, captions, guidance)
        right = judging.right(judge, images, captions)
        figures[f"guidance_{guidance:g}"] = {k: float(v.mean()) for k, v in right.items()}
        if guidance == 5.0:
            _grid(images[:40]).save(target / "samples.png")
    figures |= judges(pipe, judge)
    (target / "card.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(work / "curve.csv", target / "curve.csv")


def judges(pipe: Any, judge: networks.JudgeNet) -> dict[str, Any]:
    """What the judge and the feature network know of real and of reconstructed images."""
    scenes = data.sample(2048, REAL_SEED, tiny_sd.IMAGE_SIZE)
    real, labels = (
        torch.from_numpy(scenes.images).permute(0, 3, 1, 2),
        torch.from_numpy(scenes.labels),
    )
    decoded = autoencoder.reconstruct(pipe.vae, real)
    noise = (decoded - real).square().mean((1, 2, 3))
    features = networks.load(networks.FeatureNet, networks_folder() / "features.safetensors")
    with torch.inference_mode():
        return {
            "autoencoder_psnr_db": float((-10 * torch.log10(noise)).mean()),
            "judge_on_real": networks.accuracy(judge(real), labels),
            "judge_on_reconstructed": networks.accuracy(judge(decoded), labels),
            "features_on_real": networks.accuracy(features(real), labels),
        }


def draw(pipe: Any, captions: list[str], guidance: float) -> torch.Tensor:
    """Images in [0, 1], `[n, 3, h, w]`, 25 DDIM steps, image i with seed i."""
    batches = []
    for start in range(0, len(captions), 35):
        texts = captions[start : start + 35]
        seeds = range(start, start + len(texts))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        out = pipe(
            texts,
            num_inference_steps=25,
            guidance_scale=guidance,
            generator=generators,
            output_type="pt",
        )
        batches.append(out.images)
    return torch.cat(batches)


def _grid(images: torch.Tensor, columns: int = 10, zoom: int = 3) -> Image.Image:
    rows = len(images) // columns
    size = images.shape[-1]
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    grid = pixels.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    picture = Image.fromarray(grid.reshape(rows * size, columns * size, 3))
    return picture.resize((columns * size * zoom, rows * size * zoom), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
