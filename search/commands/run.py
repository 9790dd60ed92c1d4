"""`python -m search`: run a search, or go on with one."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from accel import families
from accel.models import default_device, load_pipeline, quiet
from evaluate.latency import unaccelerated
from search import budget as budgets
from search import config as configuration
from search import export, finalists, rungs, warm, workers
from search.commands import setting
from search.commands.flags import limits, parser
from search.config import SearchConfig
from search.engine import Engine
from search.predict import predict
from search.progress import Progress
from search.proposer import Proposer
from search.seeds import seeds
from search.study import Study
from strategies import SearchSpace, Strategy, StrategyError, dump, parse


def main(arguments: list[str]) -> int:
    """Run the search that the arguments describe; returns the exit code."""
    constraints, rest = limits(arguments)
    flags = parser().parse_args(rest)
    flags.constraints = constraints or None
    return _run(flags)


def _run(flags: argparse.Namespace) -> int:
    device = default_device()
    torch.set_num_threads(1)
    quiet()
    pipe, config, folder = _settings(flags)
    family, _ = families.find(pipe)
    space = configuration.make_space(config.space, family, pipe.scheduler)
    if flags.warm_start:
        found = tuple(dump(one) for one in warm.read(flags.warm_start, family))
        config = config.model_copy(update={"warm_start": found})
    baseline = unaccelerated(pipe, config.model.scheduler, config.model.steps)
    known = [
        *((warm.ORIGIN, warm.nearest(space, parse(text))) for text in config.warm_start),
        *seeds(space, config.model.scheduler, config.model.steps, config.seeds),
    ]
    ladder = rungs.check(config.rungs, config.images)
    proposer = Proposer(space, known, config.proposer, config.population, config.seed, ladder)
    del pipe
    if flags.dry_run:
        with tempfile.TemporaryDirectory() as scratch:
            return _run_in(Path(scratch), config, device, space, baseline, proposer, _predict)
    _create(folder, config, resumed=flags.resume is not None)
    return _run_in(folder, config, device, space, baseline, proposer, _drive)


def _run_in(
    folder: Path,
    config: SearchConfig,
    device: str,
    space: SearchSpace,
    baseline: Strategy,
    proposer: Proposer,
    work: Callable[[Engine, Console], int],
) -> int:
    console = Console(stderr=False)
    study = Study(folder / "study.journal", config.objectives)
    executor = workers.start(config, device)
    try:
        with Progress(console) as progress:
            engine = Engine(config, folder, study, executor, space, baseline, proposer, progress)
            return work(engine, console)
    finally:
        executor.close()


def _predict(engine: Engine, console: Console) -> int:
    config = engine.config
    console.print(
        f"model {config.model.name}, {engine.budget}; {len(engine.proposer.seeds)} seeds, then "
        f"{config.proposer}; {config.heldout_images} images for each finally scored strategy",
        highlight=False,
    )
    for line in predict(engine).lines():
        console.print(line, highlight=False)
    return 0


def _drive(engine: Engine, console: Console) -> int:
    try:
        engine.prepare()
        engine.search()
        finals = finalists.finish(engine)
        summary = export.write(engine, finals)
    except KeyboardInterrupt:
        size = export.write_unfinished(engine)
        console.print(
            f"\ninterrupted: {size} strategies of the front so far are in "
            f"{engine.folder}/strategies; go on with: python -m search --resume {engine.folder}",
            highlight=False,
            soft_wrap=True,
        )
        return 130
    for name, value in summary.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        console.print(f"{name.replace('_', ' '):>22}  {shown}", highlight=False)
    console.print(f"strategies and plot are in {engine.folder}", highlight=False, soft_wrap=True)
    return 0


def _settings(flags: argparse.Namespace) -> tuple[Any, SearchConfig, Path]:
    """The loaded pipeline, the search's settings, checked, and its folder."""
    given = setting.given(flags) | {
        key: getattr(flags, key)
        for key in (
            "space", "schedulers", "steps", "budget", "workers", "images", "heldout_images",
            "export", "proposer", "seed", "seeds", "constraints", "sensitivity", "rungs",
            "gpus_per_worker", "cpus_per_worker", "address", "timeout",
        )
    } | {"objectives": flags.objective}  # fmt: skip
    if flags.resume is None:
        if given["workers"] is None and torch.cuda.is_available():
            given["workers"] = torch.cuda.device_count()
        setting.look(flags, given)
        pipe, model = setting.load(flags)
        config = configuration.resolve(model, given)
        _check(config, flags.download)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        return pipe, config, flags.out or Path("runs") / f"{config.model.name}-{stamp}"
    before = configuration.read(flags.resume)
    if flags.model is not None and Path(flags.model).stem != before.model.name:
        raise StrategyError(
            f"{flags.resume} is a run of model {before.model.name}, not of {flags.model}; leave "
            "--model out, or start a new run"
        )
    given["warm_start"] = flags.warm_start
    fixed = [key for key, value in given.items() if value is not None and key not in RESUMABLE]
    fixed += setting.changed(flags)
    if fixed or flags.out is not None:
        name = fixed[0].replace("_", "-") if fixed else "out"
        raise StrategyError(
            f"--{name} cannot change in a resumed run; what can is "
            f"{', '.join('--' + key.replace('_', '-') for key in RESUMABLE)}"
        )
    changed = {key: given[key] for key in RESUMABLE if given[key] is not None}
    config = configuration.build(before.model_dump() | changed)
    _check(config, flags.download)
    return load_pipeline(config.model, download=flags.download), config, flags.resume


def _check(config: SearchConfig, download: bool) -> None:
    budgets.parse(config.budget)
    setting.check(config, download)


RESUMABLE = (
    *("budget", "workers", "export"),
    *("gpus_per_worker", "cpus_per_worker", "address", "timeout"),
)


def _create(folder: Path, config: SearchConfig, resumed: bool) -> None:
    if not resumed and folder.is_dir() and any(folder.iterdir()):
        raise StrategyError(
            f"{folder} is not empty; go on with a run by --resume {folder}, or give another --out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.write(folder / "config.yaml")
    except OSError as error:
        raise StrategyError(f"{folder}: cannot be written ({error.strerror})") from None
