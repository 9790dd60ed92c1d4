"""`python -m search ablate`: score the named strategies without each of their methods."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from rich.console import Console

from accel import families
from accel.models.loading import default_device, load_pipeline, quiet
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search import budget, spaces
from search.commands import run_options as reading
from search.engine.progress import Progress
from search.engine.search import Search
from search.images.shared_cache import SharedImages
from search.interruption import Ending
from search.proposers.generation_strategy import GenerationStrategy
from search.results import finalist, report
from search.results import run as runs
from search.results import run_settings as settled
from search.results.removals import Removal
from search.results.report import method_worth as methods
from search.results.run import Run
from search.run_folder import consent
from search.run_folder.creation import opened
from search.study.run_notes import RunNotes
from search.workers import factory as workers
from strategies import StrategyError
from strategies.commands.result_output import ResultOutput

DEFAULT = "10m"


def main(arguments: list[str]) -> int:
    """Generate missing images and write the report again; returns the exit code."""
    made = reading.parser(
        "ablate",
        "The command takes each method in turn out of the knee and out of the fastest strategy "
        "without a loss. It scores the remaining strategy on the same held-out prompts. The report "
        "shows the scores.",
        ["RUN", "RUN --budget 30m"],
    )
    made.add_argument(
        "--budget", default=DEFAULT, metavar="AMOUNT", help=f"device time (default: {DEFAULT})"
    )
    made.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="needed if the run's model is a function of yours, which runs again",
    )
    made.add_result_flags(
        "the strategies without a method, with scores and intervals", "one row for each of them"
    )
    flags = made.parse_args(arguments)
    with ResultOutput(flags) as result:
        return _ablate(flags, result)


def _ablate(flags: argparse.Namespace, result: ResultOutput) -> int:
    seconds = budget.parse_budget(flags.budget).seconds
    if seconds is None:
        raise StrategyError(f"--budget {flags.budget} is no device time; give one, such as 10m")
    run = runs.load_run(flags.run, flags.storage)
    if run.state != "finished":
        raise StrategyError(
            f"{flags.run} is {run.state}; finish it first: python -m search --resume {flags.run}"
        )
    quiet()
    torch.set_num_threads(1)
    config = settled.read_settings(flags.run)
    consent.check_consent(flags.run, config.model, flags.model)
    pipe = load_pipeline(config.model)
    family, _ = families.find_sites(pipe)
    space = spaces.make_space(config.space, family, pipe.scheduler, config.model.share)
    unaccelerated = unaccelerated_strategy(pipe, config.model.scheduler, config.model.steps)
    generation = GenerationStrategy(
        space, [], config.proposer, config.population, config.seed, config.ladder
    )
    del pipe
    location = runs.study_location(flags.run, config, flags.storage)
    console = Console()
    with Ending(), opened(flags.run, config, location, RunNotes(), True) as held:
        executor = workers.make_executor(
            held.config, held.config.model, default_device(), held.ties.inputs.prompts,
            held.ties.inputs.weights,
        )  # fmt: skip
        try:
            with Progress(console) as progress:
                progress.watch(held.config, held.study, generation)
                search = Search(
                    held.config, flags.run, held.study, executor, space, unaccelerated, generation,
                    progress,
                )  # fmt: skip
                search.accepted = held.accept
                shared = SharedImages(
                    held.config.model, held.ties.inputs, unaccelerated, default_device(), flags.run
                )
                search.images.reuse(shared, held.ties.inputs.origin, held.ties.unsigned)
                search.prepare()
                finals = finalist.finals(held.study)
                found = search.ablation().run(finals, seconds)
            page = report.write(Run(flags.run, held.config, held.study), flags.run)
        finally:
            executor.close()
    for row in methods.taken_out(Run(flags.run, held.config, held.study)):
        cells = " ".join(f"{cell['text']} {cell['more']}".rstrip() for cell in row["cells"])
        console.print(f"{row['name']:>24}  {row['slower']:>6}  {cells}", highlight=False)
    console.print(
        f"{methods.ablation_lines(found)}; {page} shows it", highlight=False, soft_wrap=True
    )
    rows = [_row(one) for one in found]
    more = [{"intervals": one.intervals, "strategy": one.left.to_json()} for one in found]
    result.write([row | beside for row, beside in zip(rows, more, strict=True)], rows)
    return 0


def _row(one: Removal) -> dict[str, Any]:
    """A strategy without one of its methods, as one row of a table."""
    return {
        "of": " ".join(one.labels),
        "without": one.method,
        "digest": one.left.digest[:12],
        "error": one.error,
        **one.scores,
    }
