"""The card of a bundled model: judged figures, sample grid, training curve, all measured here."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image

from zoo import MODELS, data, judging, load, networks, networks_folder, tiny_sd
from zoo.train import REAL_SEED
from zoo.training import autoencoder

plt.switch_backend("Agg")
CARD_SEED = 13
GUIDANCES = (4.0, 5.0, 8.0)
LABELS = ("shape", "colour", "size", "position", "background")
TOPOLOGY = {
    "tiny-sd": """\
Stable Diffusion 1.5's topology (4 levels x 2 layers,
12 skip positions, cross-attention on three levels, CLIP text encoder, KL autoencoder)""",
    "tiny-pixart": """\
PixArt's topology (10 transformer blocks on
256 tokens, one adaLN shared by all, cross-attention, T5 text encoder, tiny-sd's KL autoencoder; the
channels of the learned variance are there but not trained)""",
}
# How to call it, and what happened to the released weights beyond one run of the script.
HISTORY = {
    "tiny-sd": """\
The released weights were trained on two CPU cores. Up to 96,000 images the latents had unit
variance, and up to 80,000 the bump of the training times at large t was missing; position was not
learnt until the latents were scaled to half (`zoo/training/autoencoder.py` says why).
`python -m zoo.train tiny-sd` trains with the final settings throughout, and goes on from its
checkpoint with a larger `--images`.

A model with 32 x 32 latents (64 x 64 pixels) is to follow. At the 256 tokens of this one, token
merging saves no time.""",
    "tiny-pixart": """\
A call has to say `use_resolution_binning=False`, because the bins of PixArt's resolutions end at
256 pixels; `max_sequence_length=20` spares 280 tokens of padding and changes nothing else
(`zoo.MODELS["tiny-pixart"]` holds these arguments).

The weights come from one run of `python -m zoo.train tiny-pixart --ranks 1` on one CPU core: first
with patches of two latent pixels (64 tokens), then, after the weights at both ends are folded,
with patches of one (`zoo/recipes.py` has the numbers).""",
}


def write_card(target: Path, work: Path, seen: int, count: int) -> None:
    """Judge the weights in `target` and write README.md, card.json, the grid and the curve there.

    Args:
        target: folder of a shipped pipeline; its name is the model's.
        work: of the training, with the curve.
        seen: training images.
        count: images to judge per guidance.
    """
    pipe: Any = load(target.name)
    captions = [
        data.caption(r) for r in data.sample_labels(count, np.random.default_rng(CARD_SEED))
    ]
    judge = networks.load(networks.JudgeNet, networks_folder() / "judge.safetensors")
    figures: dict[str, Any] = {"images_seen": seen, "judged_images": count, "steps": 25}
    for guidance in GUIDANCES:
        images = draw(pipe, captions, guidance, **MODELS[target.name])
        right = judging.right(judge, images, captions)
        figures[f"guidance_{guidance:g}"] = {k: float(v.mean()) for k, v in right.items()}
        if guidance == 5.0:
            grid(images[:40]).save(target / "samples.png")
    figures |= judges(pipe, judge)
    (target / "card.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(work / "curve.csv", target / "curve.csv")
    plot_curve(target)
    (target / "README.md").write_text(text(target.name, figures, captions[:10]), encoding="utf-8")


def judges(pipe: Any, judge: networks.JudgeNet) -> dict[str, Any]:
    """What the judge and the feature network know of real and of reconstructed images."""
    scenes = data.sample(2048, REAL_SEED, tiny_sd.IMAGE_SIZE)
    real = torch.from_numpy(scenes.images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(scenes.labels)
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


def draw(pipe: Any, captions: list[str], guidance: float, **settings: Any) -> torch.Tensor:
    """Images in [0, 1], `[n, 3, h, w]`, 25 DDIM steps, image i with seed i.

    Args:
        pipe: a text-to-image pipeline.
        captions: `n` prompts.
        guidance: the guidance scale.
        settings: further arguments of the pipeline.
    """
    batches = []
    for start in range(0, len(captions), 35):
        texts = captions[start : start + 35]
        seeds = range(start, start + len(texts))
        result = pipe(
            texts,
            num_inference_steps=25,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="pt",
            **settings,
        )
        batches.append(result.images)
    return torch.cat(batches)


def grid(images: torch.Tensor, columns: int = 10, zoom: int = 3) -> Image.Image:
    """Images `[n, 3, s, s]` in [0, 1] as one picture, n a multiple of `columns`."""
    rows, size = len(images) // columns, images.shape[-1]
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    tiles = pixels.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    picture = Image.fromarray(tiles.reshape(rows * size, columns * size, 3))
    return picture.resize((columns * size * zoom, rows * size * zoom), Image.Resampling.NEAREST)


def plot_curve(target: Path) -> None:
    """Write `curve.png` from `curve.csv`."""
    with (target / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for label in LABELS:
        axes.plot(
            [int(r["images"]) / 1000 for r in rows], [float(r[label]) for r in rows], label=label
        )
    axes.set_xlabel("training images, thousands")
    axes.set_ylabel("right, of 70 captions")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(target / "curve.png", dpi=120)
    plt.close(figure)


def text(name: str, figures: dict[str, Any], captions: list[str]) -> str:
    """README.md of the model."""
    rows = [(f"guidance {g:g}", figures[f"guidance_{g:g}"]) for g in GUIDANCES]
    rows += [
        ("judge on real images", figures["judge_on_real"]),
        ("judge on reconstructed images", figures["judge_on_reconstructed"]),
        ("feature network on real images", figures["features_on_real"]),
    ]
    table = "\n".join(
        f"| {title} | " + " | ".join(f"{100 * right[label]:.1f} %" for label in LABELS) + " |"
        for title, right in rows
    )
    first = "\n".join(f"- {caption}" for caption in captions)
    return f"""# {name}

A text-to-image latent diffusion pipeline with {TOPOLOGY[name]}, trained from
scratch on procedural captioned pictures. Images are {tiny_sd.IMAGE_SIZE} x {tiny_sd.IMAGE_SIZE}, \
latents 4 x {tiny_sd.LATENT_SIZE} x {tiny_sd.LATENT_SIZE}, weights fp16, v-prediction. It exists to
try and test acceleration methods, and draws nothing but shapes.

Right answers of the judge, a classifier that is not the feature network, about \
{figures["judged_images"]} generated
images per guidance ({figures["steps"]} DDIM steps, captions that training did not choose):

| | {" | ".join(LABELS)} |
| --- | {" | ".join("---" for _ in LABELS)} |
{table}

Autoencoder: {figures["autoencoder_psnr_db"]:.1f} dB. Training images: {figures["images_seen"]:,}.
All figures: `python -m zoo.export {name} --images {figures["judged_images"]}`, kept in `card.json`.

![samples](samples.png)

First row of the samples, guidance 5:
{first}

![training curve](curve.png)

{HISTORY[name]}
"""
