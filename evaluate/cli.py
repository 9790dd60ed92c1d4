"""The command line: `python -m evaluate`."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.status import Status

from accel.models import DTYPES, SOURCE_HELP, available, quiet
from evaluate import models, prompts, table
from evaluate.compare import Request, compare
from evaluate.evaluator import SEEDS, Evaluator, is_bundled
from evaluate.metrics import GROUPS, METRICS, Metric, choose, usual
from evaluate.networks import Networks
from evaluate.sample import NotFiniteError
from evaluate.statistics import ScoreError
from evaluate.store import Report, Store, identity
from evaluate.weights import VARIABLE, cache_folder
from strategies import StrategyError, load

EXAMPLES = """\
examples:
  python -m evaluate --strategy examples/tiny-sd-lossless.json
  python -m evaluate --model FOLDER --strategy dato-b1 --reference self --images 256
  python -m evaluate --model FOLDER --strategy dato-b1 --metrics fid,clip-score --images 2000 \\
      --prompts imagenet --reference IMAGENET/val --reference-per-class 5
  python -m evaluate --model FOLDER --random-weights --strategy dato-b1 --calls     speed alone
"""


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="python -m evaluate",
        description="Score strategies beside the unaccelerated model, alike in prompts and noise.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = made.add_argument_group("what")
    what.add_argument(
        "--model",
        default="tiny-sd",
        help=f"{', '.join(available())}, a .yaml file, a folder in diffusers format or a hub id",
    )
    what.add_argument("--source", metavar="FOLDER", help=SOURCE_HELP)
    what.add_argument(
        "--strategy",
        action="append",
        default=[],
        help="a strategy file or a preset's name; may be given again",
    )
    names = [*GROUPS, *(name for name in METRICS if name not in GROUPS["accuracy"])]
    what.add_argument(
        "--metrics",
        help=f"comma-separated, of {', '.join(names)} (default: all whose weights are on disk)",
    )
    what.add_argument("--images", type=int, default=64, help="of each (default: 64)")
    what.add_argument(
        "--prompts", help="imagenet, zoo:NAME, or a .txt, .tsv (PartiPrompts) or .json (COCO) file"
    )
    what.add_argument(
        "--reference",
        help="a folder of images, a .npz file of Inception statistics, or self: the unaccelerated "
        "model's own images at other seeds (default: the bundled one, else self)",
    )
    what.add_argument("--reference-images", type=int, help="drawn for self (default: --images)")
    what.add_argument(
        "--reference-per-class",
        type=int,
        metavar="N",
        help="of each folder within the reference only the first N images, by name",
    )
    _add_setting(made)
    _add_output(made)
    return made


def _add_setting(made: argparse.ArgumentParser) -> None:
    how = made.add_argument_group("the model's setting, where it differs from its own")
    how.add_argument("--scheduler", help="of the unaccelerated model")
    how.add_argument("--steps", type=int, help="of the unaccelerated model")
    how.add_argument("--guidance", type=float)
    how.add_argument("--size", type=int, help="of the images' sides, in pixels")
    how.add_argument("--dtype", choices=list(DTYPES))
    how.add_argument("--device", help="such as cpu or cuda:0")
    how.add_argument("--batch", type=int, help="images drawn at once")
    how.add_argument("--download", action="store_true", help="fetch weights that are missing")
    speed = made.add_argument_group("speed")
    speed.add_argument("--repeats", type=int, default=7, help="turns (default: 7; 0: no speed)")
    speed.add_argument("--throughput", type=int, metavar="BATCH", help="also measure throughput")
    speed.add_argument("--calls", action="store_true", help="also show every kind of call")
    speed.add_argument(
        "--random-weights",
        action="store_true",
        help="build the model from its configs alone; speed is measured, quality is not",
    )


def _add_output(made: argparse.ArgumentParser) -> None:
    run = made.add_argument_group("results")
    run.add_argument("--json", type=Path, help="also write everything to this file")
    run.add_argument("--csv", type=Path, help="also write one row per strategy to this file")
    run.add_argument(
        "--out",
        type=Path,
        help="keep the images in this folder; without it they are kept until all is scored, under "
        f"${VARIABLE}, so that a run that was stopped goes on",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    flags = parser().parse_args(arguments)
    try:
        for path in (flags.json, flags.csv):
            if path is not None:
                table.check_writable(path)
        found, metrics, without = _run(flags)
    except (StrategyError, ScoreError, NotFiniteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the images drawn so far", file=sys.stderr)
        return 130
    table.show(found, metrics, flags.calls)
    for name, reason in without.items():
        print(f"not scored: {name}: {reason}")
    if flags.json is not None:
        table.write_json(found, flags.json)
    if flags.csv is not None:
        table.write_csv(found, flags.csv)
    return 0


def _run(flags: argparse.Namespace) -> tuple[dict[str, Any], list[Metric], dict[str, str]]:
    chosen = [(name, load(name)) for name in flags.strategy]
    images = 0 if flags.random_weights else flags.images
    _check(flags, images)
    quiet()
    torch.set_num_threads(1)
    changes = {
        "scheduler": flags.scheduler,
        "steps": flags.steps,
        "guidance": flags.guidance,
        "height": flags.size,
        "width": flags.size,
        "dtype": flags.dtype,
        "batch": flags.batch,
        "heldout_prompts": flags.prompts,
    }
    pipe, config = models.find(
        flags.model, flags.device, flags.download, flags.random_weights, changes, flags.source
    )
    metrics, without = _metrics(flags, is_bundled(config))
    networks = Networks(str(pipe.device), flags.download)
    if images:
        for metric in metrics:  # What is missing is said before hours of drawing.
            if metric.network is not None:
                networks.load(metric.network)
    evaluator = Evaluator(config, str(pipe.device), pipe, networks)
    reference = flags.reference or (None if is_bundled(config) else "self")
    request = Request(
        images,
        metrics,
        reference,
        flags.reference_images,
        flags.reference_per_class,
        flags.repeats,
        flags.throughput,
    )
    store = _store(flags, config.source)
    with Console(stderr=True).status("") as status:
        lists = prompts.read(config.heldout_prompts, SEEDS["heldout"])
        found = compare(evaluator, chosen, lists, request, store, _report(status))
    if flags.out is None and store.folder.is_dir():
        shutil.rmtree(store.folder)
    return found, metrics if images else [], without if images else {}


def _check(flags: argparse.Namespace, images: int) -> None:
    if flags.random_weights and (flags.metrics or flags.reference):
        raise StrategyError(
            "--random-weights draws noise, which has no quality: leave out --metrics and "
            "--reference, or give the model's weights"
        )
    if images in (1,) or images < 0 or flags.repeats < 0 or not images + flags.repeats:
        raise StrategyError(
            f"{images} images and {flags.repeats} repeats asked for; quality needs at least 2 "
            "images (0 leaves it out), speed at least 1 repeat (0 leaves it out)"
        )
    for name in ("reference_images", "reference_per_class", "throughput"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise StrategyError(f"--{name.replace('_', '-')} must be at least 1, not {value}")


def _metrics(flags: argparse.Namespace, bundled: bool) -> tuple[list[Metric], dict[str, str]]:
    if flags.metrics is None:
        return usual(bundled)
    names = [name.strip() for name in flags.metrics.split(",") if name.strip()]
    return choose(names, bundled), {}


def _store(flags: argparse.Namespace, source: str) -> Store:
    weights = identity(source)
    if flags.out is not None:
        return Store(flags.out, weights)
    job = repr([flags.model, flags.strategy, flags.images, flags.prompts, flags.reference, weights])
    key = hashlib.sha256(job.encode()).hexdigest()[:16]
    return Store(cache_folder() / "unfinished" / key, weights)


def _report(status: Status) -> Report:
    def report(name: str, done: int, count: int) -> None:
        status.update(f"{name}: {done} of {count} images" if count else name)

    return report


def scored(model: str, names: Sequence[str], images: int, repeats: int) -> list[dict[str, Any]]:
    """The rows of `python -m evaluate` with a few of its flags, for benchmarks."""
    strategies = [part for name in names for part in ("--strategy", name)]
    flags = ["--model", model, *strategies, "--images", str(images), "--repeats", str(repeats)]
    rows: list[dict[str, Any]] = _run(parser().parse_args(flags))[0]["rows"]
    return rows
