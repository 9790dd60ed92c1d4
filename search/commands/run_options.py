"""Flags shared by the commands that read a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evaluate.verdicts import check_margins, parse_margin
from search.commands import COMMANDS
from search.commands.flags.help_formatter import Formatter
from search.objectives import metric_set as figures
from search.results import run as runs
from search.results.run import Run
from search.study.storage.location import PASSWORD
from strategies.commands.result_output import CommandParser


def parser(name: str, about: str, examples: Sequence[str], several: bool = False) -> CommandParser:
    """Parser of a command with the shared flags.

    Args:
        name: name of the command.
        about: description that the first line of its help does not give.
        examples: command lines after `python -m search NAME`.
        several: whether it takes several runs, as `runs`, instead of one, as `run`.
    """
    lines = [f"  python -m search {name} {example}" for example in examples]
    what = COMMANDS[name]
    made = CommandParser(
        prog=f"python -m search {name}",
        description=f"{what[0].upper()}{what[1:]}. {about}",
        epilog="\n".join(["examples:", *lines]),
        formatter_class=Formatter,
    )
    if several:
        made.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of the runs")
    else:
        made.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    made.add_argument(
        "--storage",
        metavar="URL",
        help=f"URL of the study, with its password; needed only if it has one and {PASSWORD} is "
        "not set",
    )
    return made


def read_run(flags: argparse.Namespace) -> Run:
    """Read the run that the flags name."""
    return runs.load_run(flags.run, flags.storage)


def add_margin(made: argparse.ArgumentParser) -> None:
    """Add the flag for margins other than the run's."""
    made.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="amount by which a score may be worse and still count as no loss (default: the "
        "run's own margins)",
    )


def with_margins(run: Run, given: Sequence[str]) -> Run:
    """The run with other margins.

    Raises:
        StrategyError: a margin of no score of this run, or not above 0.
    """
    if not given:
        return run
    config = run.config
    found = dict(config.margins)
    for name, value in map(parse_margin, given):
        found[figures.full_name(name, config.model.subject, config.metric_set.view)] = value
    check_margins(found, config.metric_set.keys)
    return replace(run, config=config.model_copy(update={"margins": found}))


def heading(run: Run) -> str:
    """Line that says which front it is."""
    points = run.front()
    state = "exported front" if run.finals else f"front so far ({run.state}, the search's own)"
    split = "held-out prompts" if run.finals else "of the search's prompts"
    count = f"{len(points)} strateg{'y' if len(points) == 1 else 'ies'}"
    return (
        f"{run.config.model.name}: {state}, {count}, {points[0].images} {split}"
        if points
        else (f"{run.config.model.name}: {state} is empty: nothing keeps the constraints")
    )
