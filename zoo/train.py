"""Train a bundled model: `python -m zoo.train tiny-sd` or `python -m zoo.train tiny-pixart`.

Runs the stages in order, each once; a stage whose result lies in the work folder is skipped, and
diffusion training goes on from its last checkpoint. `--images` beyond what was trained continues
from the last checkpoint at the constant learning rate. tiny-pixart takes the autoencoder, the
feature network and the judge that tiny-sd ships with.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes

from zoo import MODELS, data, folder, judging, networks, networks_folder, tiny_sd
from zoo.parts import Parts
from zoo.recipes import FIRST, STAGES
from zoo.training import autoencoder, classifiers, diffusion, text

TRAIN_SEED, REAL_SEED = 1234, 99
TRAIN_IMAGES = 60_000


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo.train", description=__doc__)
    parser.add_argument("model", choices=list(STAGES))
    parser.add_argument("--work", type=Path, help="default: .train/MODEL")
    parser.add_argument("--images", type=int, help="seen at the end of the last stage")
    parser.add_argument("--decay", type=int, help="of them with a falling rate")
    parser.add_argument("--ranks", type=int, default=2, help="CPU processes of one thread each")
    chosen = parser.parse_args(arguments)
    work = chosen.work or Path(".train") / chosen.model
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1 if not torch.cuda.is_available() else os.cpu_count() or 1)
    if chosen.model == FIRST:
        train_networks(work)
    else:
        take_networks(work)
    encode_data(chosen.model, work)
    ranks = 1 if torch.cuda.is_available() else chosen.ranks
    plans = [replace(stage.plan, ranks=ranks) for stage in STAGES[chosen.model]]
    wanted = {"images": chosen.images, "decay": chosen.decay}
    plans[-1] = replace(plans[-1], **{k: v for k, v in wanted.items() if v is not None})
    if plans[-1].images <= plans[-1].start:
        parser.error(f"--images counts all stages; the last one begins at {plans[-1].start}")
    for index, plan in enumerate(plans):
        train_diffusion(chosen.model, work, index, plan)


def take_networks(work: Path) -> None:
    """The feature network, judge and autoencoder as they ship."""
    for name in ("features.safetensors", "judge.safetensors"):
        shutil.copyfile(networks_folder() / name, work / name)
    shutil.copytree(folder(FIRST) / "vae", work / "vae", dirs_exist_ok=True)


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


def encode_data(model: str, work: Path) -> None:
    """Latents and tokens of the training set, and the contrastively trained text encoder."""
    if (work / "text").exists():
        return
    vae = AutoencoderKL.from_pretrained(work / "vae")
    features = networks.load(networks.FeatureNet, work / "features.safetensors")
    torch.manual_seed(4)
    parts = STAGES[model][0].begin(None)
    words = parts.tokenizer
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
    text.train(parts, torch.cat(tokens), torch.cat(seen), 600)
    parts.text_encoder.save_pretrained(work / "text")


def _tokens(words: object, captions: list[str]) -> Tensor:
    assert callable(words)
    batch = words(
        captions, padding="max_length", max_length=tiny_sd.MAX_TOKENS, return_tensors="pt"
    )
    ids: Tensor = batch.input_ids
    return ids


def train_diffusion(model: str, work: Path, index: int, plan: diffusion.Plan) -> None:
    """Train a stage to the end of `plan`, on one GPU or on `plan.ranks` CPU processes."""
    if plan.ranks == 1:
        _rank(0, model, work, index, plan)
    else:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29531")
        start_processes(_rank, (model, work, index, plan), nprocs=plan.ranks, start_method="spawn")


def _rank(rank: int, model: str, work: Path, index: int, plan: diffusion.Plan) -> None:
    if plan.ranks > 1:
        dist.init_process_group("gloo", rank=rank, world_size=plan.ranks)
    torch.manual_seed(5)
    parts = load_parts(model, work, index)
    checkpoints = work / STAGES[model][index].folder
    checkpoints.mkdir(exist_ok=True)
    table = load_file(work / "data.safetensors")
    judge = networks.load(networks.JudgeNet, work / "judge.safetensors")

    def look(trainee: diffusion.Trainee) -> None:
        scores = judge_average(model, trainee, judge, 70)
        print("judged", trainee.seen, {k: round(v, 3) for k, v in scores.items()}, flush=True)
        path = work / "curve.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["images", *scores])
            writer.writerow([trainee.seen, *(f"{v:.4f}" for v in scores.values())])

    diffusion.run_rank(rank, parts, plan, table["latents"], table["tokens"], checkpoints, look)
    if plan.ranks > 1:
        dist.destroy_process_group()


def load_parts(model: str, work: Path, index: int) -> Parts:
    """The parts as stage `index` begins with them: what the stages before made, else fresh."""
    stages = STAGES[model][: index + 1]
    parts: Parts = stages[0].begin(None)
    parts.vae = AutoencoderKL.from_pretrained(work / "vae").requires_grad_(False)
    parts.text_encoder = type(parts.text_encoder).from_pretrained(work / "text")
    for before, stage in pairwise(stages):
        diffusion.take_average(parts, work / before.folder / diffusion.LAST)
        parts = stage.begin(parts)
    return parts


def judge_average(
    model: str, trainee: diffusion.Trainee, judge: networks.JudgeNet, count: int
) -> dict[str, float]:
    """Caption accuracy of `count` images drawn with the averaged weights (DDIM 20, guidance 5)."""
    kept = {name: weight.detach().clone() for name, weight in trainee.named()}
    with torch.no_grad():
        for name, weight in trainee.named():
            weight.copy_(trainee.average[name])
    scenes = data.sample(count, REAL_SEED + 1, 8)
    generator = torch.Generator().manual_seed(0)
    pipe = trainee.parts.pipeline()
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        scenes.captions,
        num_inference_steps=20,
        guidance_scale=5.0,
        generator=generator,
        output_type="pt",
        **MODELS[model],
    ).images
    with torch.no_grad():
        for name, weight in trainee.named():
            weight.copy_(kept[name])
    scores = judging.right(judge, images.cpu(), scenes.captions)
    return {name: float(value.mean()) for name, value in scores.items()}


if __name__ == "__main__":
    main()
