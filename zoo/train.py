"""Train a bundled model: `python -m zoo.train MODEL`, of tiny-sd, tiny-pixart or tiny-portraits.

The stages run in order, each once. A stage whose result lies in the work folder is skipped, and
diffusion training resumes at its last complete checkpoint, so that the same command resumes after
an interruption. `--images` beyond what was trained continues from the last checkpoint at the
constant learning rate. With an empty work folder, a model whose training is unfinished continues
from the snapshot in `zoo/snapshots/MODEL`; `--fresh` begins from nothing. tiny-pixart takes the
autoencoder, the feature network and the judge that tiny-sd ships with. tiny-portraits needs the npm
package @dicebear/pixel-art (designs CC0 1.0), which npm downloads to the work folder unless
`--package` names it.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes

from strategies import StrategyError
from strategies.commands.interrupts import run_interruptible
from zoo import MODELS, judging, networks
from zoo.parts import Parts
from zoo.recipes import RECIPES, STAGES
from zoo.training import diffusion, preparing, snapshots
from zoo.training.classifiers import REAL_SEED

# Captions drawn at each look at the model in training.
LOOKS = 70


def parser() -> argparse.ArgumentParser:
    """Parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m zoo.train", description=__doc__)
    made.add_argument("model", choices=list(STAGES))
    made.add_argument("--work", type=Path, help="work folder (default: .train/MODEL)")
    made.add_argument(
        "--images", type=int, help="number of images seen at the end of the last stage"
    )
    made.add_argument(
        "--decay", type=int, help="number of last images with a falling learning rate"
    )
    made.add_argument("--ranks", type=int, default=2, help="CPU processes of one thread each")
    made.add_argument(
        "--package", type=Path, help="package of the portraits' parts: archive or folder"
    )
    made.add_argument(
        "--fresh", action="store_true", help="begin from nothing although there is a snapshot"
    )
    return made


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parser()
    chosen = flags.parse_args(arguments)
    work = chosen.work or Path(".train") / chosen.model
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1 if not torch.cuda.is_available() else os.cpu_count() or 1)
    snapshot = snapshots.snapshot_folder(chosen.model)
    if not chosen.fresh and snapshots.restore_snapshot(snapshot, work):
        print(f"continuing from {snapshot}; --fresh begins from nothing")
    try:
        prepare(chosen.model, work, chosen.package)
    except StrategyError as error:
        sys.exit(f"error: {error}")
    ranks = 1 if torch.cuda.is_available() else chosen.ranks
    plans = [replace(stage.plan, ranks=ranks) for stage in STAGES[chosen.model]]
    wanted = {"images": chosen.images, "decay": chosen.decay}
    plans[-1] = replace(plans[-1], **{k: v for k, v in wanted.items() if v is not None})
    if plans[-1].images <= plans[-1].start:
        flags.error(f"--images counts all stages; the last one begins at {plans[-1].start}")
    for index, plan in enumerate(plans):
        train_diffusion(chosen.model, work, index, plan)


def prepare(model: str, work: Path, package: Path | None) -> None:
    """Run every stage before diffusion training whose result is not in the work folder yet.

    Args:
        model: name in `zoo.recipes.RECIPES`.
        work: folder of the results.
        package: package of the parts that images are drawn from, if there is one.

    Raises:
        StrategyError: the package is missing.
    """
    recipe = RECIPES[model]
    if recipe.takes:
        preparing.take_networks(recipe.takes, work)
    needed = ("features.safetensors", "vae", "judge.safetensors", "data.safetensors", "text")
    if all((work / name).exists() for name in needed):
        return
    sample = recipe.subject.open(work, package)
    preparing.train_features(work, recipe, sample)
    preparing.train_autoencoder(work, recipe, sample)
    preparing.encode_data(work, recipe, sample)
    preparing.train_text(work, recipe)
    preparing.train_judge(work, recipe, sample)


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
    judge = networks.load_network(RECIPES[model].subject.judge, work / "judge.safetensors")

    def look(trainee: diffusion.Trainee) -> None:
        scores = judge_average(model, trainee, judge, LOOKS)
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
    """Parts with which stage `index` begins: the result of the stages before, else fresh ones."""
    stages = STAGES[model][: index + 1]
    parts: Parts = stages[0].begin(None)
    parts.vae = AutoencoderKL.from_pretrained(work / "vae").requires_grad_(False)
    parts.text_encoder = type(parts.text_encoder).from_pretrained(work / "text")
    for before, stage in pairwise(stages):
        diffusion.take_average(parts, work / before.folder)
        parts = stage.begin(parts)
    return parts


def judge_average(
    model: str, trainee: diffusion.Trainee, judge: nn.Module, count: int
) -> dict[str, float]:
    """Caption accuracy of `count` images drawn with the averaged weights (DDIM 20, guidance 5)."""
    subject = RECIPES[model].subject
    captions = subject.captions(count, REAL_SEED + 1)
    kept = {name: weight.detach().clone() for name, weight in trainee.named()}
    with torch.no_grad():
        for name, weight in trainee.named():
            weight.copy_(trainee.average[name])
    pipe = trainee.parts.pipeline()
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        captions,
        num_inference_steps=20,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
        **MODELS.get(model, {}),
    ).images
    with torch.no_grad():
        for name, weight in trainee.named():
            weight.copy_(kept[name])
    scores = judging.right(judge, images.cpu(), captions, subject)
    return {name: float(value.nanmean()) for name, value in scores.items()}


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
