"""`python -m evaluate transfer`: what strategies are worth on another model, solver or size.

Each strategy is moved (`strategies.transfer`) and scored beside the unaccelerated target and beside
fewer steps of the same solver that take as long, or by `--equal macs` do as much work, which a busy
machine cannot blur. Its *loss* is how far its figures are from the
unaccelerated target's; its *gain* is how much better they are than those of its rival, the fewer
steps, with a paired 95 % interval: a gain below zero says that fewer steps are the better strategy.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import accel
from accel import families
from evaluate import cli, comparison_table
from evaluate.comparison import BASELINE, compare
from evaluate.evaluator import Evaluator
from evaluate.images.generation import run as draw
from evaluate.images.image_store import Report
from evaluate.metrics import VIEWS, Metric
from evaluate.speed.latency_measurement import measure_end_to_end, unaccelerated
from strategies import Strategy, StrategyError, load
from strategies.transfer import Target, transfer

EQUAL = ("latency", "macs")
TURNS = 3  # Of the times by which rivals are chosen; what is reported is measured again.
EXAMPLES = """\
examples:
  python -m evaluate transfer examples/tiny-sd-no-loss.json --to tiny-sd \\
      --steps 20 --scheduler DPMSolverMultistepScheduler --images 16
  python -m evaluate transfer dato-b1 deepcache-n3 --to sdxl --source FOLDER --steps 30
"""


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="python -m evaluate transfer",
        description="Score strategies on another model, solver, number of steps or size than they "
        "were made for, beside fewer steps of the same solver that take as long.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("strategy", nargs="+", metavar="S", help="strategy files or presets' names")
    what = made.add_argument_group("what")
    what.add_argument("--to", dest="model", required=True, metavar="MODEL", help=cli.MODEL_HELP)
    what.add_argument(
        "--skip-levels",
        type=int,
        metavar="N",
        help="of the UNet that the strategies were made on (default: what their files say, else "
        "12, Stable Diffusion 1.x and 2.x)",
    )
    what.add_argument(
        "--equal",
        choices=EQUAL,
        default=EQUAL[0],
        help="what fewer steps have in common with a strategy; macs are the same however busy the "
        f"machine is (default: {EQUAL[0]})",
    )
    cli.add_what(what)
    cli.add_setting(made)
    cli.add_output(made)
    return made


def run(flags: argparse.Namespace) -> int:
    """Do what the flags ask for; returns the exit code.

    Raises:
        StrategyError: a strategy has no meaning on the target, or a flag is wrong.
    """
    given = [(Path(name).stem, load(name)) for name in flags.strategy]
    if flags.skip_levels is not None and flags.skip_levels < 1:
        raise StrategyError(f"--skip-levels must be at least 1, not {flags.skip_levels}")
    if not flags.repeats:
        raise StrategyError("--repeats 0 leaves out the speed by which rivals are chosen")
    if len({name for name, _ in given}) < len(given):
        raise StrategyError("two strategies have one name; give each once")
    job = cli.prepare(flags)
    with Console(stderr=True).status("") as status:
        report = cli.reporter(status)
        where = target_of(job.evaluator)
        moved = [
            Moved(name, source, *transfer(source, where, flags.skip_levels))
            for name, source in given
        ]
        found = measure(job, moved, report, flags.equal)
    cli.finish(job, flags)
    show(found, job.metrics, flags.calls)
    if flags.json is not None:
        comparison_table.write_json(found, flags.json)
    if flags.csv is not None:
        comparison_table.write_csv(found, flags.csv)
    return 0


@dataclass(frozen=True)
class Moved:
    """A strategy on its way.

    Attributes:
        name: in the table.
        source: as it is where it comes from.
        strategy: as it is on the target.
        notes: what was changed or left out.
    """

    name: str
    source: Strategy
    strategy: Strategy
    notes: list[str]


def measure(
    job: cli.Job, moved: Sequence[Moved], report: Report, equal: str = EQUAL[0]
) -> dict[str, Any]:
    """Compare strategies with the job's unaccelerated model and with rivals as fast.

    Args:
        job: the target and what is to be found out.
        moved: strategies that fit it.
        report: told how far it is.
        equal: what they have in common with their rivals: `latency`, or `macs`, the denoiser's
            multiply-accumulates.

    Returns:
        As `compare`, the strategies first, then the rivals. A strategy's row has its `notes` and
        its `source`: solver, steps, and the scores that came with it.

    Raises:
        StrategyError: a strategy does not fit the target.
    """
    pipe, config = job.evaluator.pipe, job.evaluator.config
    report(f"measuring {equal} to choose rivals", 0, 0)
    steps = _rivals(job, [one.strategy for one in moved], equal)
    names = {n: f"{n} step{'s' * (n > 1)}" if n != config.steps else BASELINE for n in steps}
    against = {one.name: names[n] for one, n in zip(moved, steps, strict=True)}
    everyone = [(one.name, one.strategy) for one in moved]
    everyone += [
        (name, unaccelerated(pipe, config.scheduler, n))
        for n, name in sorted(names.items())
        if name != BASELINE
    ]
    found = compare(job.evaluator, everyone, job.prompts, job.request, job.store, report, against)
    for row, one in zip(found["rows"][1:], moved, strict=False):
        row |= {"notes": one.notes, "source": _source(one.source)}
    return found


def target_of(evaluator: Evaluator) -> Target:
    """The unaccelerated model of an evaluator as a place to move strategies to."""
    family, sites = families.find(evaluator.pipe)
    base = evaluator.baseline
    levels = sites.skip_levels if family == "unet" else None
    return Target(evaluator.config.name, family, base.scheduler, base.steps, base.calls, levels)


def _source(strategy: Strategy) -> dict[str, Any]:
    """What a strategy's file says of it where it comes from."""
    return {
        "digest": strategy.digest,
        "model": strategy.provenance.get("model"),
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
        "scores": strategy.scores,
    }


def _rivals(job: cli.Job, moved: Sequence[Strategy], equal: str) -> list[int]:
    """For each strategy the number of steps that takes nearest to as long, by a straight line
    through what all steps and a quarter of them take.
    """
    config = job.evaluator.config
    many, few = config.steps, max(1, config.steps // 4)
    plain = [unaccelerated(job.evaluator.pipe, config.scheduler, n) for n in (many, few)]
    take = _seconds if equal == "latency" else _work
    long, short, *mine = take(job, [*plain, *moved])
    each = (long - short) / (many - few) if many > few else long
    return [max(1, min(many, round(many - (long - one) / each))) for one in mine]


def _seconds(job: cli.Job, strategies: Sequence[Strategy]) -> list[float]:
    """Of one image, the shortest of some turns: what else the machine does only adds to them."""
    times = measure_end_to_end(
        job.evaluator.pipe, job.evaluator.config, job.prompts, strategies, TURNS
    )
    return [min(turns) for turns in times]


def _work(job: cli.Job, strategies: Sequence[Strategy]) -> list[float]:
    """Multiply-accumulates of the denoiser for one image."""
    pipe, found = job.evaluator.pipe, []
    for one in strategies:
        with accel.accelerated(pipe, one, set_scheduler=True):
            with accel.measuring(pipe, macs=True):
                draw(pipe, job.evaluator.config, one, job.prompts.first(1))
            found.append(float(sum(record.macs or 0 for record in accel.stats(pipe))))
    return found


def show(found: dict[str, Any], metrics: list[Metric], calls: bool) -> None:
    """Print the comparison, then each strategy beside its rival and what its file says."""
    metrics = metrics if found["setting"]["images"] else []
    comparison_table.show(found, metrics, calls)
    console = Console()
    moved = [row for row in found["rows"] if "source" in row]
    shown = Table(title="gains: beside fewer steps as fast")
    shown.add_column("")
    for row in moved:
        shown.add_column(row["name"], justify="right", overflow="fold")
    rivals = {row["name"]: row for row in found["rows"]}
    shown.add_row("made for", *(_made_for(row["source"]) for row in moved))
    shown.add_row("speedup there", *(_figure(row["source"]["scores"], "speedup") for row in moved))
    shown.add_row("speedup here", *(f"{row['speedup']:.2f}x" for row in moved))
    if metrics:
        shown.add_row("beside", *(row["rival"] for row in moved))
        shown.add_row("  its speedup", *(f"{rivals[r['rival']]['speedup']:.2f}x" for r in moved))
    for metric in metrics:
        for view in metric.views:
            key = metric.key(view)
            if key in moved[0].get("beside_rival", {}):
                _add(shown, moved, metric, key, VIEWS[view])
    console.print(shown)
    for row in moved:
        for note in row["notes"]:
            console.print(f"{row['name']}: {note}", style="dim", highlight=False)


def _add(shown: Table, moved: list[dict[str, Any]], metric: Metric, key: str, view: str) -> None:
    cells = [row["beside_rival"][key] for row in moved]
    plus = metric.form.replace("{:", "{:+")
    title = " ".join(filter(None, [metric.title, view]))
    shown.add_row(f"{title}: gain", *(plus.format(cell[0]) for cell in cells), style="bold")
    shown.add_row("  95 % interval", *(comparison_table.interval(cell, plus) for cell in cells))
    shown.add_row("", *(comparison_table.verdict(cell, metric.better) for cell in cells))
    there = [_loss(row["source"]["scores"], key, metric.form) for row in moved]
    shown.add_row("  loss there", *there)
    shown.add_row("  loss here", *(_loss(row, key, metric.form) for row in moved))


def _made_for(source: dict[str, Any]) -> str:
    solver = source["scheduler"].removesuffix("Scheduler")
    return f"{source['model'] or ''} {source['steps']} {solver}".strip()


def _loss(scores: dict[str, Any], key: str, form: str) -> str:
    """The change from the unaccelerated pipeline's figure, or the figure where it compares with its
    images, with the interval where there is one.
    """
    intervals = scores.get("intervals")
    if isinstance(intervals, dict):  # A file's scores may be anything.
        cell = intervals.get(f"{key}_change") or intervals.get(key)
    else:
        cell = None
    if isinstance(cell, list) and len(cell) == 3 and all(map(_is_number, cell)):
        return f"{form.format(cell[0])} ({comparison_table.interval(cell, form)})"
    return form.format(scores[key]) if _is_number(scores.get(key)) else "not in the file"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _figure(scores: dict[str, Any], key: str) -> str:
    return f"{scores[key]:.2f}x" if _is_number(scores.get(key)) else "not in the file"
