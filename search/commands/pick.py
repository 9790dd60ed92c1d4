"""`python -m search pick`: choose one strategy of the front and write its file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote

import numpy as np

from accel.models.config import available
from search.commands import run_options as reading
from search.commands.flags.values import limits
from search.commands.front_rows import point_data, point_row
from search.objectives import metric_set as figures
from search.objectives.labels import score_text, title
from search.objectives.objectives import COST_METRICS, Constraint, parse_limit
from search.pareto import knee_index
from search.results.run import NO_LOSS, FrontPoint, Run
from strategies import StrategyError, describe, save
from strategies.commands import terminal_tables
from strategies.commands.result_output import CommandParser, ResultOutput
from strategies.data_files.whole import make_folder


def main(arguments: list[str]) -> int:
    """Print the strategy and write its file; returns the exit code."""
    constraints, rest = limits(arguments)
    given = parser().parse_args(rest)
    with ResultOutput(given) as result:
        return _pick(given, constraints, result)


def _pick(given: argparse.Namespace, constraints: dict[str, float], result: ResultOutput) -> int:
    if given.speedup is not None:
        constraints["min-speedup"] = given.speedup
    if not constraints and not given.knee and not given.no_loss:
        raise StrategyError(
            "say what to pick: --speedup 3, --max-NAME-increase 0.2, --knee, --no-loss"
        )
    run = reading.with_margins(reading.read_run(given), given.margin)
    points = run.front()
    if not points:
        raise StrategyError(reading.heading(run))
    bounds = [parse_limit(text, limit) for text, limit in constraints.items()]
    bounds = [_full(limit, run, points[0].base) for limit in bounds]
    point = choose_point(run, points, bounds, given.knee, given.no_loss)
    label = _label(constraints, given.knee, given.no_loss)
    strategy = run.file(point, f"{run.config.model.name}-{label}")
    target = given.out or Path(f"{strategy.name}.json")
    make_folder(target.parent)
    save(strategy, target)
    row = {"file": str(target), "number": points.index(point) + 1}
    result.write(row | point_data(point), [row | point_row(point)])
    show_choice(run, points, point)
    print(f"written to {target}; generate with it: {_how(run, target)}")
    return 0


def parser() -> CommandParser:
    """Parser of the flags without the limits."""
    made = reading.parser(
        "pick",
        "The front of a search that is not finished is its front so far. If only speed is asked "
        "for, the command picks the best images at that speed. Otherwise it picks the fastest "
        "strategy that keeps all limits.",
        ["RUN --speedup 3", "RUN --max-fid-increase 0.2", "RUN --knee --out knee.json"],
    )
    made.usage = "python -m search pick RUN [what to pick] [--out FILE]"
    what = made.add_argument_group("choice; all given conditions must hold")
    what.add_argument("--speedup", type=float, metavar="X", help="smallest speedup")
    what.add_argument(
        "--min-NAME, --max-NAME, --max-NAME-increase",
        dest="limits",
        metavar="VALUE",
        help="limit on any score of the front, or on its increase over the unaccelerated "
        "pipeline's",
    )
    what.add_argument(
        "--no-loss",
        "--lossless",
        action="store_true",
        help="only strategies for which a loss beyond the margins is ruled out (--lossless is "
        "the former name)",
    )
    what.add_argument(
        "--knee", action="store_true", help="the knee of the front, where it bends most"
    )
    reading.add_margin(made)
    made.add_result_flags("the strategy, its scores and its file", "one row")
    made.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="strategy file to write (default: MODEL-WHAT.json here)",
    )
    return made


def choose_point(
    run: Run, points: list[FrontPoint], bounds: list[Constraint], at_knee: bool, no_loss: bool
) -> FrontPoint:
    """Choose the requested point.

    Args:
        run: run of the front.
        points: points of the front, fastest first.
        bounds: limits on scores.
        at_knee: whether to choose the knee.
        no_loss: whether to choose among points without a loss.

    Raises:
        StrategyError: no point qualifies; says how near the front comes.
    """
    left = points
    if no_loss:
        if points[0].prompts == "search":
            raise StrategyError(
                "--no-loss needs the held-out scores of a finished search; this one is "
                f"{run.state}. For a choice by its own scores give --max-NAME-increase 0"
            )
        left = [point for point in left if point.no_loss == "yes"]
        if not left:
            raise StrategyError(_none_passes(points))
    for bound in bounds:
        kept = [point for point in left if bound.violation(point.scores, point.base) <= 0]
        if not kept:
            raise StrategyError(_too_much(bound, left))
        left = kept
    if at_knee:
        return left[knee_index(np.array([point.objectives for point in left], dtype=float))]
    costs_only = all(bound.name in (*COST_METRICS, "speedup") for bound in bounds)
    if no_loss or not costs_only:
        return left[0]
    quality = [i for i, name in enumerate(run.config.objectives) if name not in COST_METRICS]
    return min(left, key=lambda point: [point.objectives[i] for i in quality])


def _full(limit: Constraint, run: Run, base: Mapping[str, float]) -> Constraint:
    """A limit on a score that exists, by its full name."""
    config = run.config
    name = figures.full_name(limit.name, config.model.subject, config.metric_set.view)
    if name not in base:
        raise StrategyError(
            f"{limit.text}: unknown score {limit.name!r}; this front has {', '.join(sorted(base))}"
        )
    return replace(limit, name=name)


def _too_much(bound: Constraint, points: list[FrontPoint]) -> str:
    nearest = min(points, key=lambda point: bound.violation(point.scores, point.base))
    score = nearest.scores[bound.name] - (nearest.base[bound.name] if bound.relative else 0.0)
    return (
        f"no strategy of the front has {bound.text} {bound.value:g}; the nearest of the "
        f"{len(points)} that are left has {score:.4g}"
    )


def _none_passes(points: list[FrontPoint]) -> str:
    """Reason why no point passes, by the nearest one: the slowest without a shown loss."""
    if points[0].verdict is None:
        return (
            "by the metrics of this search every change is a loss, so --no-loss picks nothing; "
            "search with an objective such as kid or image-reward, or limit one: --min-psnr 30"
        )
    near = [point for point in points if point.no_loss == "not shown"] or points
    verdict = near[-1].verdict
    assert verdict is not None
    return (
        "a loss is ruled out for no strategy of the front; the nearest is "
        f"{near[-1].scores['speedup']:.2f}x as fast: {'; '.join(verdict.reasons)}. Score more "
        "held-out images, or give a wider --margin NAME=VALUE"
    )


def _label(constraints: Mapping[str, float], at_knee: bool, no_loss: bool) -> str:
    words = [f"{text.removeprefix('min-')}-{limit:g}" for text, limit in constraints.items()]
    return "-".join([*words, *([NO_LOSS] if no_loss else []), *(["knee"] if at_knee else [])])


def show_choice(run: Run, points: list[FrontPoint], point: FrontPoint) -> None:
    """Print the chosen strategy."""
    print(f"number {points.index(point) + 1} of {reading.heading(run)}")
    for name in ("speedup", *run.config.objectives):
        shown = score_text(name, point.scores[name])
        beside = (
            f" (unaccelerated {score_text(name, point.base[name])})" if name != "speedup" else ""
        )
        print(f"{title(name)}: {shown}{beside}")
    changes = {k: v for k, v in point.intervals.items() if k.endswith("_change")}
    for name, (change, low, high) in changes.items():
        figure = name.removesuffix("_change")
        print(f"{title(figure)}: change {change:+.3g}, 95 % interval {low:+.3g} to {high:+.3g}")
    if point.verdict is not None:
        print("; ".join([f"no loss: {point.no_loss}", *point.verdict.reasons]))
    strategy = point.strategy
    print(f"{strategy.solver_text}, {terminal_tables.schedule(strategy)}")
    for line in describe.summary(strategy) if strategy.methods else ["fewer steps, no method"]:
        print(line)


def _how(run: Run, target: Path) -> str:
    """Command that generates an image with the strategy."""
    model = run.config.model
    name = model.name if model.name in available() else model.source
    return (
        f"python -m accel generate --model {quote(name)} --strategy {quote(str(target))} "
        "--compare --prompt PROMPT --out compared.png"
    )
