"""`python -m evaluate transfer`: strategies on another model, solver or size."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluate import comparison_table
from evaluate.commands.preparation import delete_images, prepare
from evaluate.metrics import VIEWS, Metric
from evaluate.transfer import TransferredStrategy, measure_transfer, target_of
from strategies import StrategyError, load
from strategies.commands.progress_bar import ProgressBar
from strategies.commands.result_output import ResultOutput
from strategies.data_files.finite import is_number
from strategies.transfer import transfer


def transfer_command(flags: argparse.Namespace, result: ResultOutput) -> int:
    """Carry out the command; returns the exit code.

    Args:
        flags: parsed flags.
        result: output of the comparison.

    Raises:
        StrategyError: a strategy has no meaning on the target, or a flag is wrong.
    """
    given = [(comparison_table.strategy_title(name), load(name)) for name in flags.strategy]
    if len({name for name, _ in given}) < len(given):
        raise StrategyError("two strategies have the same name; give each once")
    job = prepare(flags)
    with ProgressBar() as report:
        where = target_of(job.evaluator)
        moved = [
            TransferredStrategy(name, source, *transfer(source, where, flags.skip_levels))
            for name, source in given
        ]
        found = measure_transfer(job, moved, report, flags.equal)
    delete_images(job, flags)
    if not result.alone:
        show_transfer(found, job.metrics, flags.calls)
    written = comparison_table.with_former_names(found)
    result.write(written, comparison_table.flat_rows(written))
    return 0


def show_transfer(found: dict[str, Any], metrics: list[Metric], calls: bool) -> None:
    """Print the comparison, then each strategy with its equal-cost baseline and the scores in its
    file.
    """
    metrics = metrics if found["setting"]["images"] else []
    comparison_table.show_comparison(found, metrics, calls)
    console = Console()
    moved = [row for row in found["rows"] if "source" in row]
    shown = Table(title="gains: compared with fewer steps of equal cost")
    shown.add_column("")
    for row in moved:
        shown.add_column(row["name"], justify="right", overflow="fold")
    rows = {row["name"]: row for row in found["rows"]}
    shown.add_row("made for", *(_made_for(row["source"]) for row in moved))
    shown.add_row("speedup there", *(_figure(row["source"]["scores"], "speedup") for row in moved))
    shown.add_row("speedup here", *(f"{row['speedup']:.2f}x" for row in moved))
    if metrics:
        shown.add_row("compared with", *(row["baseline"] for row in moved))
        shown.add_row("  its speedup", *(f"{rows[r['baseline']]['speedup']:.2f}x" for r in moved))
    for metric in metrics:
        for view in metric.views:
            key = metric.key(view)
            if key in moved[0].get("baseline_changes", {}):
                _add(shown, moved, metric, key, VIEWS[view])
    console.print(shown)
    for row in moved:
        for note in row["notes"]:
            console.print(f"{row['name']}: {note}", style="dim", highlight=False)


def _add(shown: Table, moved: list[dict[str, Any]], metric: Metric, key: str, view: str) -> None:
    cells = [row["baseline_changes"][key] for row in moved]
    plus = metric.form.replace("{:", "{:+")
    title = " ".join(filter(None, [metric.title, view]))
    shown.add_row(f"{title}: gain", *(plus.format(cell[0]) for cell in cells), style="bold")
    shown.add_row(
        "  95 % interval", *(comparison_table.interval_ends(cell, plus) for cell in cells)
    )
    shown.add_row("", *(comparison_table.verdict(cell, metric.better) for cell in cells))
    there = [_loss(row["source"]["scores"], key, metric.form) for row in moved]
    shown.add_row("  loss there", *there)
    shown.add_row("  loss here", *(_loss(row, key, metric.form) for row in moved))


def _made_for(source: dict[str, Any]) -> str:
    solver = source["scheduler"].removesuffix("Scheduler")
    return f"{source['model'] or ''} {source['steps']} {solver}".strip()


def _loss(scores: dict[str, Any], key: str, form: str) -> str:
    """Change from the unaccelerated pipeline's score with its interval, as text.

    A metric that compares with the unaccelerated images has no change; its score is shown.
    """
    intervals = scores.get("intervals")
    if isinstance(intervals, dict):  # A file's scores may be anything.
        cell = intervals.get(f"{key}_change") or intervals.get(key)
    else:
        cell = None
    if isinstance(cell, list) and len(cell) == 3 and all(map(is_number, cell)):
        return f"{form.format(cell[0])} ({comparison_table.interval_ends(cell, form)})"
    return form.format(scores[key]) if is_number(scores.get(key)) else "not in the file"


def _figure(scores: dict[str, Any], key: str) -> str:
    return f"{scores[key]:.2f}x" if is_number(scores.get(key)) else "not in the file"
