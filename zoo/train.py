"""Train a bundled model: `python -m zoo.train tiny-sd`.

Runs the stages in order, each once; a stage whose result lies in the work folder is skipped, and
the diffusion stage goes on from its last checkpoint. `--images` beyond what was trained continues
from the last checkpoint at the constant learning rate.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes

from zoo import data, judging, networks, tiny_sd
from zoo.training import autoencoder, classifiers, diffusion, text

TRAIN_SEED, REAL_SEED = 1234, 99
TRAIN_IMAGES = 60_000


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo.train", description=__doc__)
    parser.add_argument("model", choices=["tiny-sd"])
    parser.add_argument("--work", type=Path, default=Path(".train/tiny-sd"))
    parser.add_argument("--images", type=int, default=220_000, help="images seen at the end")
    parser.add_argument("--decay", type=int, default=60_000, help="of them with a falling rate")
    parser.add_argument("--ranks", type=int, default=2, help="CPU processes of one thread each")
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1 if not torch.cuda.is_available() else os.cpu_count() or 1)
    train_networks(chosen.work)
    encode_data(chosen.work)
    plan = diffusion.Plan(chosen.images, chosen.decay, ranks=chosen.ranks)
    train_diffusion(chosen.work, plan)


def train_networks(work: Path) -> None:
    """Feature network, autoencoder and judge."""
    size = tiny_sd.IMAGE_SIZE
    if not (work / "features.safetensors").exists():
        torch.manual_seed(1)
        network = classifiers.train(networks.FeatureNet(), 1100, 1, size, lambda images: images)
        print("features", classifiers.score(network, REAL_SEED, size, lambda images: images))
        save_file(network.state_dict(), work / "features.safetensors")
    if not (work / "vae").exists():
        torch.manual_seed(2)
        autoencoder.train(tiny_sd.vae(), 1100, 2, size).save_pretrained(work / "vae")
    if not (work / "judge.safetensors").exists():
        vae = AutoencoderKL.from_pretrained(work / "vae")
        torch.manual_seed(3)
        judge = classifiers.train(networks.JudgeNet(), 600, 3, size, _rough(vae))
        for name, change in (("real", lambda images: images), ("reconstructed", _decoded(vae))):
            print("judge on", name, classifiers.score(judge, REAL_SEED, size, change), flush=True)
        save_file(judge.state_dict(), work / "judge.safetensors")


def _decoded(vae: AutoencoderKL) -> classifiers.Augment:
    return lambda images: autoencoder.reconstruct(vae, images)


def _rough(vae: AutoencoderKL) -> classifiers.Augment:
    """Half real, half reconstructed images, with noise and blur: what generated ones look like."""
    generator = torch.Generator().manual_seed(3)

    def change(images: Tensor) -> Tensor:
        half = len(images) // 2
        images = torch.cat([images[:half], autoencoder.reconstruct(vae, images[half:])])
        blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
        share = torch.rand(len(images), 1, 1, 1, generator=generator) * 0.6
        noise = torch.randn(images.shape, generator=generator) * 0.08
        noise *= torch.rand(len(images), 1, 1, 1, generator=generator)
        return (images + share * (blurred - images) + noise).clamp(0, 1)

    return change


def encode_data(work: Path) -> None:
    """Latents and tokens of the training set, and the contrastively trained text encoder."""
    if (work / "text").exists():
        return
    vae = AutoencoderKL.from_pretrained(work / "vae")
    features = networks.load(networks.FeatureNet, work / "features.safetensors")
    words = tiny_sd.tokenizer()
    latents, tokens, seen = [], [], []
    for start in range(0, TRAIN_IMAGES, 2000):
        scenes = data.sample(2000, TRAIN_SEED * 1000 + start, tiny_sd.IMAGE_SIZE)
        latents.append(autoencoder.encode(vae, scenes.images))
        tokens.append(_tokens(words, scenes.captions))
        with torch.inference_mode():
            seen.append(features.features(torch.from_numpy(scenes.images).permute(0, 3, 1, 2)))
    save_file(
        {
            "latents": torch.from_numpy(np.ascontiguousarray(np.concatenate(latents))),
            "tokens": torch.cat([*tokens, _tokens(words, [""])]).contiguous(),
        },
        work / "data.safetensors",
    )
    torch.manual_seed(4)
    encoder = text.train(tiny_sd.text_encoder(words), torch.cat(tokens), torch.cat(seen), 600)
    encoder.save_pretrained(work / "text")


def _tokens(words: object, captions: list[str]) -> Tensor:
    assert callable(words)
    batch = words(
        captions, padding="max_length", max_length=tiny_sd.MAX_TOKENS, return_tensors="pt"
    )
    ids: Tensor = batch.input_ids
    return ids


def train_diffusion(work: Path, plan: diffusion.Plan) -> None:
    """Train to the end of `plan`, on one GPU or on `plan.ranks` CPU processes."""
    if plan.ranks == 1 or torch.cuda.is_available():
        _rank(0, work, plan)
    else:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29531")
        start_processes(_rank, (work, plan), nprocs=plan.ranks, start_method="spawn")


def _rank(rank: int, work: Path, plan: diffusion.Plan) -> None:
    if plan.ranks > 1:
        dist.init_process_group("gloo", rank=rank, world_size=plan.ranks)
    torch.manual_seed(5)
    parts = load_parts(work)
    table = load_file(work / "data.safetensors")
    judge = networks.load(networks.JudgeNet, work / "judge.safetensors")

    def look(trainee: diffusion.Trainee) -> None:
        scores = judge_average(parts, trainee, judge, 70)
        print("judged", trainee.seen, {k: round(v, 3) for k, v in scores.items()}, flush=True)
        path = work / "curve.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["images", *scores])
            writer.writerow([trainee.seen, *(f"{v:.4f}" for v in scores.values())])

    diffusion.run_rank(rank, parts, plan, table["latents"], table["tokens"], work, look)
    if plan.ranks > 1:
        dist.destroy_process_group()


def load_parts(work: Path) -> tiny_sd.Parts:
    """The parts as the earlier stages left them, with a fresh UNet."""
    parts = tiny_sd.build()
    parts.vae = AutoencoderKL.from_pretrained(work / "vae").requires_grad_(False)
    parts.text_encoder = type(parts.text_encoder).from_pretrained(work / "text")
    return parts


def judge_average(
    parts: tiny_sd.Parts, trainee: diffusion.Trainee, judge: networks.JudgeNet, count: int
) -> dict[str, float]:
    """Caption accuracy of `count` images drawn with the averaged weights (DDIM 20, guidance 5)."""
    kept = {name: weight.detach().clone() for name, weight in trainee.named()}
    with torch.no_grad():
        for name, weight in trainee.named():
            weight.copy_(trainee.average[name])
    scenes = data.sample(count, REAL_SEED + 1, 8)
    generator = torch.Generator().manual_seed(0)
    pipe = parts.pipeline()
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        scenes.captions,
        num_inference_steps=20,
        guidance_scale=5.0,
        generator=generator,
        output_type="pt",
    ).images
    with torch.no_grad():
        for name, weight in trainee.named():
            weight.copy_(kept[name])
    scores = judging.right(judge, images.cpu(), scenes.captions)
    return {name: float(value.mean()) for name, value in scores.items()}


if __name__ == "__main__":
    main()
