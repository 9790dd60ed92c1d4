"""`python -m search`: run a search, or go on with one."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from accel import families
from accel.models import default_device, load_pipeline, quiet
from evaluate.evaluator import read_prompts
from evaluate.latency import unaccelerated
from evaluate.verdicts import parse_margin
from search import budget as budgets
from search import config as configuration
from search import tracking as trackers
from search.commands import closing_lines as last
from search.commands import finished_run as finished
from search.commands import model_options as setting
from search.commands.crash_message import farewell
from search.commands.options import limits, parser
from search.config import SearchConfig
from search.engine import log_replay as replay
from search.engine.dry_run import predict
from search.engine.engine import Engine
from search.engine.progress import Progress
from search.errors import SearchError
from search.finalists import ablation
from search.finalists import final_scoring as finalists
from search.images.shared_cache import Shared
from search.images.shipped_samples import ShippedSamples
from search.initial.baselines import seeds
from search.initial.projection import nearest
from search.interruption import CODE, Ending
from search.proposers.generation_strategy import Proposer
from search.results import command_line as repeating
from search.results import export
from search.results import run as runs
from search.results import run_settings as settled
from search.results import warm_start as warm
from search.run_folder import creation as founding
from search.run_folder import inputs
from search.run_folder import study_copy as copies
from search.run_folder.creation import Opened, opened
from search.study import failures, storage
from search.study import run_lock as lock
from search.study.study import Study
from search.tracking.events import Events
from search.tracking.json_log import JsonLog
from search.workers import factory as workers
from strategies import SearchSpace, Strategy, StrategyError, dump, parse
from strategies.transfer import LEVELS

CROWD = 8  # Workers of each core, at most.
GONE = "error: the search was killed, or ran out of memory, or has lost its Ray runtime"


def main(arguments: list[str]) -> int:
    """Run the search that the arguments describe; returns the exit code."""
    constraints, rest = limits(arguments)
    flags = parser().parse_args(rest)
    flags.constraints, flags.given = constraints or None, arguments
    with Ending() as ending:
        try:
            return _run(flags, ending)
        except finished.NothingLeftError as told:
            if flags.log_json:
                replay.ended(runs.read(flags.resume, flags.storage), JsonLog(flags.log_json))
            print(told, file=sys.stderr if flags.log_json == "-" else sys.stdout)
            return 0


def _run(flags: argparse.Namespace, ending: Ending) -> int:
    device = default_device()
    torch.set_num_threads(1)
    quiet()
    pipe, config, folder = _settings(flags)
    place = runs.place(folder, config, flags.storage)
    family, sites = families.find(pipe)
    levels = sites.skip_levels if family == "unet" else None
    del sites
    space = configuration.make_space(config.space, family, pipe.scheduler, config.model.share)
    if flags.warm_start:
        found = tuple(dump(one) for one in warm.read(flags.warm_start, family))
        config = config.model_copy(update={"warm_start": found})
    baseline = unaccelerated(pipe, config.model.scheduler, config.model.steps)
    known = [
        *((warm.ORIGIN, nearest(space, parse(text))) for text in config.warm_start),
        *seeds(space, config.model.scheduler, config.model.steps, config.seeds),
    ]
    known = [(origin, space.settled(one)) for origin, one in known]
    ladder = config.ladder
    proposer = Proposer(space, known, config.proposer, config.population, config.seed, ladder)
    # People read what standard output has no log lines for.
    console = Console(stderr=flags.log_json == "-")
    del pipe
    if flags.dry_run:
        return _predict(config, device, space, baseline, proposer, console)
    log = JsonLog(flags.log_json) if flags.log_json else None
    kinds = trackers.load(config.track)
    notes = {repeating.NOTE: repeating.command(flags.given), LEVELS: levels}
    with opened(folder, config, place, notes, flags.resume is not None) as run:
        config = run.config
        run.ties.beside(flags.warm_start or ())
        for line in run.ties.told:
            console.print(line, highlight=False, soft_wrap=True)
        if config.storage and storage.is_secret(storage.parse(str(place))):
            console.print(storage.REMINDER, highlight=False, soft_wrap=True)
        executor = workers.start(config, device, run.ties.inputs)
        events = Events()
        try:
            with farewell(f"{GONE}; {run.how}") as dismiss, Progress(console) as progress:
                ending.how, ending.before = run.how, dismiss
                events = Events([*([log] if log else []), *(kind(folder) for kind in kinds)])
                engine = Engine(
                    config, folder, run.study, executor, space, baseline, proposer, progress, events
                )
                engine.accepted, engine.tell = run.accept, progress.tell
                engine.shared = Shared(config.model, run.ties.inputs, baseline, device, folder)
                engine.shipped = ShippedSamples(config.model, run.ties.inputs, baseline)
                engine.origin, engine.unsigned = run.ties.inputs.origin, run.ties.unsigned
                if log and run.resumed:
                    replay.missing(run.study, log, folder)
                events.started(engine, run.resumed)
                return _drive(engine, run, console)
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
    baseline: Strategy,
    proposer: Proposer,
    console: Console,
) -> int:
    executor = workers.start(config, device)
    try:
        with tempfile.TemporaryDirectory() as scratch, Progress(console) as progress:
            folder = Path(scratch)
            study = Study(folder / storage.JOURNAL, config.objectives)
            engine = Engine(config, folder, study, executor, space, baseline, proposer, progress)
            engine.shared = Shared(config.model, inputs.collect(config), baseline, device, folder)
            seeds = len(proposer.seeds)
            found = predict(engine)
    finally:
        executor.close()
    console.print(
        f"model {config.model.name}, {engine.budget}: {seeds} seeds, then {config.proposer}",
        *found.lines(),
        sep="\n",
        highlight=False,
        soft_wrap=True,
    )
    if found.lack:
        raise StrategyError(found.lack)
    return 0


def _drive(engine: Engine, run: Opened, console: Console) -> int:
    try:
        engine.prepare()
        engine.search()
        before = engine.study.spent
        finals = finalists.finish(engine)
        seconds = ablation.spare(engine, engine.study.spent - before)
        if seconds > 0:
            ablation.ablate(engine, finals, seconds)
        summary = export.write(engine, finals)
    except SearchError as error:
        export.write_failed(engine)
        raise error.with_how(run.how) from None
    except KeyboardInterrupt:
        size = export.write_unfinished(engine)
        engine.events.emit("stopped", reason="interrupted", front=size)
        found = f"{size} strategies of the front so far are in {engine.folder}/strategies"
        line = f"\ninterrupted: {found if size else 'nothing was found yet'}; {run.how}"
        with suppress(OSError):  # The terminal may be what is gone.
            console.print(line, highlight=False, soft_wrap=True)
        return CODE
    engine.events.exported(engine.folder, summary)
    engine.events.emit("stopped", reason="finished", front=summary["front"])
    told = failures.lines(failures.failures(engine.study))
    for name, value in summary.items():
        if isinstance(value, list | dict):
            continue  # The failures and the times, which have lines of their own.
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        console.print(f"{name.replace('_', ' '):>22}  {shown}", highlight=False)
    for line in (*told, *last.lines(engine, run.resumed, run.how)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"strategies and plot are in {engine.folder}", highlight=False, soft_wrap=True)
    return 0


def _workers(flags: argparse.Namespace) -> int | None:
    """Workers where the flags leave them open: as many as the GPUs here have room for."""
    if flags.workers is None and flags.address:
        raise StrategyError("--address needs --workers, how many of the cluster's at most")
    given: int | None = flags.workers
    if given is not None or not torch.cuda.is_available():
        return given
    return max(1, int(torch.cuda.device_count() / (flags.gpus_per_worker or 1)))


def _settings(flags: argparse.Namespace) -> tuple[Any, SearchConfig, Path]:
    """The loaded pipeline, the search's settings, checked, and its folder."""
    given = setting.given(flags) | {
        key: getattr(flags, key)
        for key in (
            "space", "methods", "schedulers", "steps", "budget", "workers", "images",
            "heldout_images", "export", "proposer", "seed", "seeds", "constraints", "sensitivity",
            "rungs", "track",
            "surrogate", "gpus_per_worker", "cpus_per_worker", "address", "timeout",
        )
    } | {
        "objectives": flags.objective,
        "margins": dict(map(parse_margin, flags.margin or ())) or None,
    }  # fmt: skip
    if flags.resume is None:
        if flags.recorded_prompts:
            raise StrategyError(
                f"{inputs.FLAG} goes with --resume, for a run that has recorded some"
            )
        given["workers"] = _workers(flags)
        if flags.out is not None and not flags.dry_run:
            lock.check_free(flags.out)
            founding.check(flags.out)
        setting.look(flags, given)
        pipe, model = setting.load(flags)
        config = configuration.resolve(model, given, families.find(pipe)[0])
        _check(config, flags.download)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = flags.out or Path("runs") / f"{config.model.name}-{stamp}"
        return pipe, _stored(config, folder, flags.storage), folder
    before = settled.read(flags.resume)
    if flags.model is not None and Path(flags.model).stem != before.model.name:
        raise StrategyError(
            f"{flags.resume} is a run of model {before.model.name}, not of {flags.model}; leave "
            "--model out, or start a new run"
        )
    given["warm_start"] = flags.warm_start
    given["storage"] = None if before.storage else flags.storage
    fixed = [
        key for key, value in given.items() if value is not None and key not in settled.RESUMABLE
    ]
    fixed += setting.changed(flags)
    if fixed or flags.out is not None:
        name = fixed[0].replace("_", "-") if fixed else "out"
        raise StrategyError(
            f"--{name} cannot change in a resumed run; what can is "
            f"{', '.join('--' + key.replace('_', '-') for key in settled.RESUMABLE)}"
        )
    changed = {key: given[key] for key in settled.RESUMABLE if given[key] is not None}
    config = configuration.build(before.model_dump() | changed)
    if not flags.dry_run:
        finished.check(flags.resume, before, config, flags.storage)
    if flags.recorded_prompts:
        config = inputs.record(flags.resume, config)
    try:
        read_prompts(config.model)
    except StrategyError as error:
        raise inputs.hint(error, flags.resume) from None
    _check(config, flags.download)
    return load_pipeline(config.model, download=flags.download), config, flags.resume


def _check(config: SearchConfig, download: bool) -> None:
    budgets.parse(config.budget)
    cores = os.cpu_count() or 1
    if config.workers > CROWD * cores and not config.address and not torch.cuda.is_available():
        raise StrategyError(
            f"--workers {config.workers} asked for, each a process that holds the model, but this "
            f"machine has {cores} cores; give at most {CROWD * cores}, or a cluster by --address"
        )
    setting.check(config, download)


def _stored(config: SearchConfig, folder: Path, url: str | None) -> SearchConfig:
    """The settings of a new run with where its study is kept."""
    if not url:
        return config
    # A database may hold many studies, also of equally named folders.
    kept = {
        "storage": storage.public(storage.parse(url)),
        "study": copies.name_of(folder),
    }
    return configuration.build(config.model_dump() | kept)
