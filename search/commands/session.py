"""One search, from its flags to its last lines."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from accel import families
from accel.models.loading import default_device, quiet
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search import budget as budgets
from search import spaces
from search import tracking as trackers
from search.commands import parallel_checks
from search.commands.endings import closing_lines as last
from search.commands.endings.crash_message import farewell
from search.commands.front import front_table
from search.commands.front_rows import front_data, point_row
from search.commands.model_setup import settings_and_pipeline
from search.commands.run_options import heading
from search.config import SearchConfig
from search.engine import log_replay as replay
from search.engine.progress import Progress
from search.engine.search import Search
from search.errors import SearchError
from search.images.shared_cache import SharedImages
from search.images.shipped_samples import ShippedSamples
from search.initial.baselines import known_strategies
from search.initial.projection import nearest_strategy
from search.interruption import CODE, Ending
from search.proposers.generation_strategy import GenerationStrategy
from search.results import command_line as repeating
from search.results import export
from search.results import run as runs
from search.results import warm_start as warm
from search.results.run import Run
from search.run_folder import finished_run as finished
from search.run_folder import inputs
from search.run_folder.creation import Opened, opened
from search.study import failures
from search.study.evaluation import WARM_START
from search.study.run_notes import RunNotes
from search.study.storage.location import JOURNAL, REMINDER, Location
from search.study.study import Study
from search.tracking.events import EventBus
from search.tracking.json_log import JsonLog
from search.workers import factory as workers
from strategies import SearchSpace, Strategy, StrategyError, dump, parse
from strategies.commands.result_output import ResultOutput

# Hypervolumes of parts of the result, for programs; people are shown the one of the front.
PARTIAL = frozenset({"hypervolume", "hypervolume_baselines"})
TITLES = {"hypervolume_together": "hypervolume", "beyond_seeds": "beyond initial ones"}
GONE = "error: the search was killed, or ran out of memory, or has lost its Ray runtime"


def run_search(flags: argparse.Namespace, ending: Ending, result: ResultOutput) -> int:
    """Run the search that the flags describe; returns the exit code."""
    try:
        return _run(flags, ending, result)
    except finished.NothingLeftError as told:
        known = runs.load_run(flags.resume, flags.storage)
        if flags.log_json:
            replay.ended(known, JsonLog(flags.log_json))
        _write_front(result, known, "finished")
        print(told, file=sys.stderr if flags.log_json == "-" else sys.stdout)
        return 0


def _run(flags: argparse.Namespace, ending: Ending, result: ResultOutput) -> int:
    device = default_device()
    torch.set_num_threads(1)
    quiet()
    pipe, config, folder = settings_and_pipeline(flags)
    location = runs.study_location(folder, config, flags.storage)
    family, sites = families.find_sites(pipe)
    levels = sites.skip_levels if family == "unet" else None
    del sites
    space = spaces.make_space(config.space, family, pipe.scheduler, config.model.share)
    parallel_checks.check_parallel(config, pipe, space)
    if flags.warm_start:
        found = tuple(dump(one) for one in warm.warm_start_strategies(flags.warm_start, family))
        config = config.model_copy(update={"warm_start": found})
    unaccelerated = unaccelerated_strategy(pipe, config.model.scheduler, config.model.steps)
    known = [
        *((WARM_START, nearest_strategy(space, parse(text))) for text in config.warm_start),
        *known_strategies(space, config.model.scheduler, config.model.steps, config.seeds),
    ]
    known = [(origin, space.settled(one)) for origin, one in known]
    ladder = config.ladder
    generation = GenerationStrategy(
        space, known, config.proposer, config.population, config.seed, ladder
    )
    # People read what standard output has no log lines for.
    console = Console(stderr=flags.log_json == "-")
    del pipe
    if flags.dry_run:
        return _predict(config, device, space, unaccelerated, generation, console, result)
    log = JsonLog(flags.log_json) if flags.log_json else None
    kinds = trackers.load_trackers(config.track)
    notes = RunNotes(command=repeating.search_command(flags.given), skip_levels=levels)
    with opened(folder, config, location, notes, flags.resume is not None) as run:
        config = run.config
        run.ties.beside(flags.warm_start or ())
        for line in run.ties.told:
            console.print(line, highlight=False, soft_wrap=True)
        if _holds_password(location):
            console.print(REMINDER, highlight=False, soft_wrap=True)
        executor = workers.make_executor(
            config, config.model, device, run.ties.inputs.prompts, run.ties.inputs.weights
        )
        events = EventBus()
        try:
            with farewell(f"{GONE}; {run.how}") as dismiss, Progress(console) as progress:
                progress.watch(config, run.study, generation)
                ending.how, ending.before = run.how, dismiss
                events = EventBus([*([log] if log else []), *(kind(folder) for kind in kinds)])
                search = Search(
                    config,
                    folder,
                    run.study,
                    executor,
                    space,
                    unaccelerated,
                    generation,
                    progress,
                    events,
                )
                search.accepted, search.tell = run.accept, progress.tell
                there = run.ties.inputs
                shared = SharedImages(config.model, there, unaccelerated, device, folder)
                search.images.reuse(shared, there.origin, run.ties.unsigned)
                search.shipped = ShippedSamples(config.model, there, unaccelerated)
                if log and run.resumed:
                    replay.send_missing(run.study, log, folder)
                settings = config.model_dump(mode="json")
                events.started(folder, run.study, settings, run.resumed)
                return _drive(search, run, console, result)
        except BaseException as error:
            events.emit("error", message=str(error) or type(error).__name__)
            raise
        finally:
            executor.close()
            events.close()


def _predict(
    config: SearchConfig,
    device: str,
    space: SearchSpace,
    unaccelerated: Strategy,
    generation: GenerationStrategy,
    console: Console,
    result: ResultOutput,
) -> int:
    executor = workers.make_executor(config, config.model, device)
    try:
        with tempfile.TemporaryDirectory() as scratch, Progress(console) as progress:
            folder = Path(scratch)
            study = Study(folder / JOURNAL, config.objectives)
            progress.watch(config, study, generation)
            search = Search(
                config, folder, study, executor, space, unaccelerated, generation, progress
            )
            there = inputs.collect_inputs(config)
            search.images.reuse(SharedImages(config.model, there, unaccelerated, device, folder))
            initial = len(generation.initial)
            found = search.predict()
    finally:
        executor.close()
    console.print(
        f"model {config.model.name}, {budgets.parse_budget(config.budget)}: {initial} "
        f"initial strategies, then {config.proposer}",
        *found.lines(),
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )
    result.write({"model": config.model.name, "budget": config.budget} | found.to_json())
    if found.lack:
        raise StrategyError(found.lack)
    return 0


def _holds_password(location: Location) -> bool:
    if isinstance(location, Path):
        return False
    from search.study.storage.database import is_secret, parse_url

    return is_secret(parse_url(location))


def _drive(search: Search, run: Opened, console: Console, result: ResultOutput) -> int:
    try:
        summary = search.run()
    except SearchError as error:
        export.write_failed(search.so_far, search.initial)
        raise error.with_how(run.how) from None
    except KeyboardInterrupt:
        size = export.write_unfinished(search.so_far)
        search.events.emit("stopped", reason="interrupted", front=size)
        _write_front(result, search.so_far, "interrupted", {}, size)
        found = f"{size} strategies of the front so far are in {run.folder}/strategies"
        line = f"\ninterrupted: {found if size else 'nothing was found yet'}; {run.how}"
        with suppress(OSError):  # The terminal may be what is gone.
            console.print(line, highlight=False, soft_wrap=True)
        return CODE
    search.events.exported(run.folder, summary)
    search.events.emit("stopped", reason="finished", front=summary["front"])
    told = failures.failure_lines(failures.failures(run.study))
    for name, value in summary.items():
        if isinstance(value, list | dict) or name in PARTIAL:
            continue  # The failures and the times have lines of their own.
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        name = TITLES.get(name, name.replace("_", " "))
        console.print(f"{name:>22}  {shown}", highlight=False)
    for line in (
        *told,
        *last.closing_lines(search.so_far, search.clock.seconds, run.resumed, run.how),
    ):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    points = search.so_far.front()
    if points:
        console.print("", heading(search.so_far), front_table(search.so_far, points), sep="\n")
    for line in last.next_lines(search.so_far):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    _write_front(result, search.so_far, "finished", summary)
    return 0


def _write_front(
    result: ResultOutput,
    run: Run,
    state: str,
    summary: Mapping[str, Any] | None = None,
    size: int | None = None,
) -> None:
    """Write the front for programs.

    Args:
        result: output of the command.
        run: run of the front.
        state: state in which the command leaves the run.
        summary: summary of a search that has just ended.
        size: number of points, if nothing may have been scored yet.
    """
    points = [] if size == 0 else run.front()
    found = {"run": str(run.folder), "summary": dict(summary or {})}
    result.write(found | front_data(run, points, state), map(point_row, points))
