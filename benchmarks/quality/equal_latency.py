"""Quality at equal latency: a search's front and every baseline that needs no search.

    python -m benchmarks run equal_latency tiny-sd --run runs/NAME
    python -m benchmarks run equal_latency tiny-pixart --run runs/NAME --images 32 --repeats 5
    python -m search export runs/NAME --out FOLDER --count 60  # then, for all of its front:
    python -m benchmarks run equal_latency tiny-sd --run runs/NAME --front FOLDER

Baselines: every preset of the model's family (resampled to the model's solver and steps), every
point of a search's initial uniform grid, and fewer steps of DDIM and DPM++. The front is the
run's `strategies/[0-9]*.json`, or with `--front` those of another folder, with fewer steps. All
draw the same held-out prompts from the same noise, scored as `python -m evaluate` does, with 95 %
intervals. Latency is end to end, of one image on one thread, all strategies in turns, medians; on
a CPU the process's own time, so that other processes do not count.

Rows: one per strategy. `verdicts` has for every baseline and metric the strategies of the front
that dominate it (latency and metric both not worse, one better), and for FD to unaccelerated images
the nearest of the front that is no slower, with the paired 95 % interval of the difference.
`shares` are of the baselines that are not themselves on the front: `share` of them are dominated,
and for `share_beyond_noise` that interval lies below zero. `by_found` is the same over all where
only strategies of the front with some method may dominate: what the search adds to fewer steps.
Images and turns are kept in `--cache`, so the same command goes on where it was stopped. Writes
`benchmarks/results/equal-latency-MODEL.json` and `docs/figures/equal-latency-MODEL.png`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import accel
import strategies
from accel.models.config import read_model
from accel.models.loading import default_device, quiet
from benchmarks.entry import FOLDER, RESULTS
from benchmarks.quality import scored_strategies
from benchmarks.quality.equal_latency_plot import on_front, plotted
from benchmarks.quality.scored_strategies import BASELINE, Candidate, Rows
from evaluate import Evaluator, scoring
from evaluate.speed.timing import environment
from evaluate.statistics.bootstrap import paired_bootstrap
from search import config as configuration
from search import spaces
from search.initial.baselines import known_strategies
from strategies import Strategy, StrategyError, describe

FRONT = "front"
FIGURES = ("fd_base", "kd_base", "feature_error", "psnr", "ssim", "fd_real", "kd_real")
MORE_IS_BETTER = ("psnr", "ssim")
STEPS_OF = ("DDIMScheduler", "DPMSolverMultistepScheduler")


def candidates(
    evaluator: Evaluator, space: Mapping[str, Any], folder: Path | None
) -> tuple[dict[str, Candidate], dict[str, str]]:
    """Everybody by name, and why some presets of the family are not among them.

    Args:
        space: settings as in `configs/spaces/`.
        folder: folder with the strategy files of a front.
    """
    plain, pipe = evaluator.unaccelerated, evaluator.pipe
    found = {BASELINE: Candidate(BASELINE, plain)}
    known = {plain.digest: BASELINE}

    def add(name: str, group: str, strategy: Strategy) -> None:
        if strategy.digest in known:
            found[known[strategy.digest]].also.append(name)
        else:
            known[strategy.digest] = name
            found[name] = Candidate(group, strategy)

    walked = spaces.make_space(dict(space), plain.family, pipe.scheduler)
    for solver in STEPS_OF:
        for steps in walked.steps:
            if (solver, steps) in walked.calls:
                name = f"{solver.removesuffix('Scheduler')}, {steps} steps"
                add(name, "fewer steps", walked.uniform(solver, steps))
    for _, strategy in known_strategies(walked, plain.scheduler, plain.steps, ("grid",)):
        add("; ".join(describe.summary(strategy)), "grid", strategy)
    unfit = {}
    for name, preset in ((name, strategies.load(name)) for name in strategies.presets()):
        if preset.family != plain.family:
            continue
        try:
            preset = preset.resample(plain.calls, plain.steps, plain.scheduler)
            with accel.accelerated(pipe, preset):
                add(name, "preset", preset)
        except StrategyError as error:
            unfit[name] = str(error)
    for path in sorted(folder.glob("[0-9]*.json")) if folder else ():
        strategy = strategies.load(path)
        group = FRONT if strategy.canonical().methods else "fewer steps"
        add(f"{FRONT} {path.stem}", group, strategy)
    return found, unfit


def dominating(rows: Rows, baseline: str, figure: str) -> list[str]:
    """Strategies of the front that dominate a baseline in latency and one metric."""
    sign = -1 if figure in MORE_IS_BETTER else 1
    found, theirs = [], rows[baseline]
    for name, mine in rows.items():
        if on_front(name, mine):
            faster = theirs["seconds"] - mine["seconds"]
            better = sign * (theirs[figure] - mine[figure])
            if faster >= 0 and better >= 0 and faster + better > 0:
                found.append(name)
    return found


def nearest(
    rows: Rows, functions: Mapping[str, scoring.MetricFunctions], baseline: str, images: int
) -> dict[str, Any] | None:
    """The best of the front that is no slower, by FD to the unaccelerated images."""
    faster = [
        name
        for name, row in rows.items()
        if on_front(name, row) and row["seconds"] <= rows[baseline]["seconds"] and name != baseline
    ]
    if not faster:
        return None
    best = min(faster, key=lambda name: rows[name]["fd_base"])
    mine, theirs = functions[best]["fd_base"], functions[baseline]["fd_base"]

    def difference(weights: Any) -> float:
        return mine(weights) - theirs(weights)

    change = paired_bootstrap(difference, images, biased=True)
    return {"name": best, "fd_base": rows[best]["fd_base"], "difference": change.to_json()}


def judge(
    rows: Rows, functions: Mapping[str, scoring.MetricFunctions], images: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Strategies that dominate each baseline, and the shares of baselines that are dominated."""
    baselines = [name for name, row in rows.items() if row["group"] not in (FRONT, BASELINE)]
    verdicts: dict[str, Any] = {}
    for name in baselines:
        beaten = {figure: dominating(rows, name, figure) for figure in FIGURES}
        beside = nearest(rows, functions, name, images)
        verdicts[name] = {"group": rows[name]["group"], "by": beaten, "nearest": beside}
    groups = [*dict.fromkeys(rows[name]["group"] for name in baselines), "all"]
    return verdicts, {group: _shares(rows, verdicts, group) for group in groups}


def _shares(rows: Rows, verdicts: Mapping[str, Any], group: str) -> dict[str, Any]:
    every = [name for name, one in verdicts.items() if group in ("all", one["group"])]
    others = [name for name in every if not on_front(name, rows[name])]
    beside = [verdicts[name]["nearest"] for name in others]
    sure = sum(one is not None and one["difference"][2] < 0 for one in beside)

    def share(names: Sequence[str], figure: str, found: bool) -> float | None:
        beaten = [
            any(not found or rows[one]["group"] == FRONT for one in verdicts[name]["by"][figure])
            for name in names
        ]
        return sum(beaten) / len(beaten) if beaten else None

    return {
        "baselines": len(every),
        "on_front": len(every) - len(others),
        "share": {figure: share(others, figure, False) for figure in FIGURES},
        "share_beyond_noise": {"fd_base": sure / len(others) if others else None},
        "by_found": {figure: share(every, figure, True) for figure in FIGURES},
    }


def searched(folder: Path | None) -> dict[str, Any] | None:
    """Facts of the run: its settings and its number of evaluations."""
    if folder is None:
        return None
    settings = configuration.read_search_config(folder)
    kept: tuple[str, ...] = ("budget", "seed", "images", "heldout_images", "export", "proposer")
    summary = json.loads((folder / "summary.json").read_text())
    return {name: getattr(settings, name) for name in kept} | {
        "objectives": list(settings.objectives),
        "evaluations": summary["evaluations"],
        "device_seconds": summary["device_seconds"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("tiny-sd", "tiny-pixart"))
    parser.add_argument("--run", type=Path, help="a finished search's folder")
    parser.add_argument("--front", type=Path, help="its strategy files; RUN/strategies by default")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default=default_device())
    parser.add_argument("--cache", type=Path, default=Path("runs/equal-latency"))
    flags = parser.parse_args(arguments)
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model(flags.model), flags.device)
    settings = (
        configuration.read_search_config(flags.run)
        if flags.run
        else configuration.resolve(flags.model, {})
    )
    front = flags.front or (flags.run and flags.run / "strategies")
    chosen, unfit = candidates(evaluator, settings.space, front)
    rows, functions = scored_strategies.rows(
        evaluator, chosen, flags.images, flags.repeats, flags.cache
    )
    verdicts, shares = judge(rows, functions, flags.images)
    document = {
        "setting": {
            "images": flags.images,
            "repeats": flags.repeats,
            "latency": "end to end, one image, in turns, medians",
            "run": searched(flags.run),
            "front": len(list(front.glob("[0-9]*.json"))) if front else 0,
            **environment(evaluator.pipe, evaluator.config),
        },
        "not_fitting": unfit,
        "shares": shares,
        "verdicts": verdicts,
        "rows": rows,
    }
    target = RESULTS / f"equal-latency-{flags.model}.json"
    target.write_text(json.dumps(document, indent=2) + "\n")
    figures = FOLDER.parent / "docs" / "figures"
    plotted(document, flags.model, figures / f"equal-latency-{flags.model}.png")
    print(json.dumps(shares, indent=2))


if __name__ == "__main__":
    main()
