"""Strategies of a bundled model drawn, scored and timed alike: what benchmarks share.

Images and turns of timing are kept in a folder, so a benchmark that was stopped goes on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import accel
import strategies
from benchmarks.sampler_speed.timing import clock, wait
from evaluate import Evaluator, scoring
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.images.generation import run_pipeline
from evaluate.images.image_store import ImageStore, model_fingerprint
from evaluate.metrics import ReferenceKind, select_metrics
from evaluate.speed.timing import environment, relative_iqr
from strategies import Strategy
from strategies.data_files.whole import write

BASELINE, FEWER_STEPS, FRONT = "unaccelerated", "fewer steps", "front"
METRICS = ("fd", "kd", "feature-error", "psnr", "ssim")
ACCURACIES: dict[str, tuple[str, ...]] = {"shapes": (), "portraits": ("right-attributes",)}
Rows = dict[str, dict[str, Any]]


@dataclass
class Candidate:
    """A strategy and what it is here.

    Attributes:
        group: `unaccelerated`, `fewer steps`, `grid`, `preset` or `front`.
        also: other names of the same strategy.
    """

    group: str
    strategy: Strategy
    also: list[str] = field(default_factory=list)


def methods_alone(
    plain: Strategy, knobs: Mapping[str, Mapping[str, dict[str, Any]]], steps: Sequence[int]
) -> dict[str, Candidate]:
    """The unaccelerated model, strategies of one method each, and fewer steps of two solvers.

    Args:
        plain: strategy of the unaccelerated model.
        knobs: knobs of every strategy, by method and by name.
        steps: numbers of steps of DPM++ and the model's own solver.
    """
    found = {BASELINE: Candidate(BASELINE, plain)}
    for method, named in knobs.items():
        for name, methods in named.items():
            one = Strategy.create(**plain.to_json() | {"methods": methods})
            found[name] = Candidate(method, one)
    for solver in (plain.scheduler, "DPMSolverMultistepScheduler"):
        for count in steps:
            name = f"{count} steps, {solver.removesuffix('Scheduler')}"
            found[name] = Candidate(FEWER_STEPS, plain.resample(steps=count, scheduler=solver))
    return found


def add_front(chosen: dict[str, Candidate], run: Path | None) -> None:
    """Add the exported front of a finished search, if there is one."""
    known = {one.strategy.digest for one in chosen.values()}
    for path in sorted(run.glob("strategies/[0-9]*.json")) if run else ():
        strategy = strategies.load(path)
        if strategy.digest not in known:
            chosen[f"front {path.stem}"] = Candidate(FRONT, strategy)


def quality(
    evaluator: Evaluator, chosen: Mapping[str, Candidate], images: int, store: ImageStore
) -> tuple[Rows, dict[str, scoring.MetricFunctions]]:
    """Figures and intervals by name, and the figures as functions of the prompts' weights."""
    subject = evaluator.config.subject
    assert subject is not None  # A bundled model.
    metrics = select_metrics([*METRICS, *ACCURACIES[subject]], subject)
    real: dict[ReferenceKind, ImageSet] = {"real": real_images(subject)}
    sides = generated(evaluator, chosen, images, store)
    base, rows, functions = sides[BASELINE], dict[str, dict[str, Any]](), {}
    for name, side in sides.items():
        functions[name] = scoring.statistics(side, base, real, metrics)
        ranges = scoring.intervals(functions[name], functions[BASELINE], metrics, images)
        rows[name] = {**scoring.full_scores(functions[name], images), "intervals": ranges}
    return rows, functions


def image_store(evaluator: Evaluator, cache: Path) -> ImageStore:
    """Images that are kept in `cache`."""
    return ImageStore(cache / "images", model_fingerprint(evaluator.config.source))


def generated(
    evaluator: Evaluator, chosen: Mapping[str, Candidate], images: int, store: ImageStore
) -> dict[str, ImageSet]:
    """Images of every strategy on the first held-out prompts, by name."""
    drawn = evaluator.prompts["heldout"].first(images)
    sides = {}
    for place, (name, one) in enumerate(chosen.items(), 1):
        say(f"drawing {place} of {len(chosen)}: {name}")
        sides[name] = store.generate(
            name, evaluator.pipe, evaluator.config, one.strategy, drawn, evaluator.networks
        )
    return sides


def latency(
    evaluator: Evaluator, chosen: Mapping[str, Candidate], repeats: int, cache: Path
) -> dict[str, list[float]]:
    """Seconds of one image with everybody in each turn after the first, by digest.

    Turns are written to `cache` as they end; those of other strategies or devices do not count.
    """
    plans = {one.strategy.digest: one.strategy for one in chosen.values()}
    pipe, config = evaluator.pipe, evaluator.config
    prompt, now = evaluator.prompts["heldout"].first(1), clock(pipe.device)
    setting = {"digests": sorted(plans), **environment(pipe, config)}
    setting.pop("clock_mhz", None)  # Changes by itself.
    kept = json.loads(cache.read_text()) if cache.exists() else {}
    same = json.loads(json.dumps(setting)) == kept.get("setting")
    turns: list[dict[str, float]] = kept["turns"] if same else []
    while len(turns) <= repeats:
        say(f"timing, turn {len(turns)} of {repeats}")
        turn = {}
        for digest, strategy in plans.items():
            with accel.accelerated(pipe, strategy, set_scheduler=True):
                wait(pipe.device)
                began = now()
                run_pipeline(pipe, config, strategy, prompt)
                wait(pipe.device)
                turn[digest] = now() - began
        turns.append(turn)
        write(json.dumps({"setting": setting, "turns": turns}), cache)
    return {digest: [turn[digest] for turn in turns[1 : repeats + 1]] for digest in plans}


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def rows(
    evaluator: Evaluator,
    chosen: Mapping[str, Candidate],
    images: int,
    repeats: int,
    cache: Path,
) -> tuple[Rows, dict[str, scoring.MetricFunctions]]:
    """Figures, intervals and latency by name, and the figures as functions of the weights.

    Args:
        evaluator: evaluator of a bundled model.
        chosen: strategies by name; the unaccelerated model's name is `BASELINE`.
        images: held-out prompts, of each.
        repeats: turns of timing that count; 0 measures none.
        cache: folder of images and turns.
    """
    cache.mkdir(parents=True, exist_ok=True)
    store = image_store(evaluator, cache)
    found, functions = quality(evaluator, chosen, images, store)
    for name, row in found.items():
        one = chosen[name]
        row |= {"group": one.group, "also": one.also, "scheduler": one.strategy.scheduler}
        row |= {"steps": one.strategy.steps, "digest": one.strategy.digest[:12]}
    if repeats:
        times = latency(evaluator, chosen, repeats, cache / f"turns-{evaluator.config.name}.json")
        plain = median(times[chosen[BASELINE].strategy.digest])
        for name, row in found.items():
            own = times[chosen[name].strategy.digest]
            row |= {"seconds": median(own), "seconds_spread": relative_iqr(own)}
            row["speedup"] = plain / row["seconds"]
    return found, functions
