"""Card of a bundled model: right answers, sample grid and training curve, all measured here."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from matplotlib import pyplot as plt
from PIL import Image
from torch import nn

from zoo import MODELS, judging, networks, networks_folder
from zoo.card_text import GUIDANCES, card_text
from zoo.recipes import RECIPES
from zoo.subjects import Sample, Subject
from zoo.training import autoencoder
from zoo.training.classifiers import REAL_SEED, pictures
from zoo.versions.precision import precision_argument

plt.switch_backend("Agg")
CARD_SEED = 13


def write_card(target: Path, work: Path, seen: int, count: int, sample: Sample) -> None:
    """Judge the weights in `target` and write README.md, card.json, the grid and the curve there.

    Args:
        target: folder of a shipped pipeline; its name is the model's.
        work: folder of the training, with the curve.
        seen: training images.
        count: images to judge per guidance.
        sample: draws real images.
    """
    subject = RECIPES[target.name].subject
    pipe: Any = DiffusionPipeline.from_pretrained(
        target, local_files_only=True, **precision_argument(torch.float32)
    )
    pipe.set_progress_bar_config(disable=True)
    captions = subject.captions(count, CARD_SEED)
    judge = networks.load_network(
        subject.judge, networks_folder(subject.name) / "judge.safetensors"
    )
    figures: dict[str, Any] = {"images_seen": seen, "judged_images": count, "steps": 25}
    for guidance in GUIDANCES:
        images = draw(pipe, captions, guidance, **MODELS.get(target.name, {}))
        right = judging.right(judge, images, captions, subject)
        figures[f"guidance_{guidance:g}"] = {k: float(v.nanmean()) for k, v in right.items()}
        if guidance == 5.0:
            grid(images[:40]).save(target / "samples.png")
    figures |= judges(pipe, judge, subject, sample)
    (target / "card.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(work / "curve.csv", target / "curve.csv")
    plot_curve(target, subject)
    page = card_text(target.name, subject, figures, captions[:10])
    (target / "README.md").write_text(page, encoding="utf-8")


@torch.inference_mode()
def judges(pipe: Any, judge: nn.Module, subject: Subject, sample: Sample) -> dict[str, Any]:
    """Accuracies of the judge and the feature network on real and on reconstructed images."""
    scenes = sample(2048, REAL_SEED)
    real, labels = pictures(scenes), torch.from_numpy(scenes.labels)
    decoded = autoencoder.reconstruct(pipe.vae, real)
    path = networks_folder(subject.name) / "features.safetensors"
    features = networks.load_network(subject.features, path)

    def known(network: nn.Module, images: torch.Tensor) -> dict[str, float]:
        parts = [network(part) for part in images.split(256)]
        logits = {name: torch.cat([part[name] for part in parts]) for name in subject.labels}
        return networks.accuracy(logits, labels, subject.groups)

    noise = (decoded - real).square().mean((1, 2, 3))
    return {
        "autoencoder_psnr_db": float((-10 * torch.log10(noise)).mean()),
        "judge_on_real": known(judge, real),
        "judge_on_reconstructed": known(judge, decoded),
        "features_on_real": known(features, real),
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


def plot_curve(target: Path, subject: Subject) -> None:
    """Write `curve.png` from `curve.csv`."""
    with (target / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for label in subject.groups:
        axes.plot(
            [int(r["images"]) / 1000 for r in rows], [float(r[label]) for r in rows], label=label
        )
    axes.set_xlabel("training images, thousands")
    axes.set_ylabel("right, of 70 captions")
    axes.legend(frameon=False, fontsize="small", ncols=1 + len(subject.groups) // 9)
    axes.grid(alpha=0.3)
    figure.savefig(target / "curve.png", dpi=120)
    plt.close(figure)
