"""The command line: `python -m search`."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import datetime
from pathlib import Path

import torch
from rich.console import Console

from accel import families
from accel.models import available, configs, default_device, load_pipeline, quiet
from evaluate.evaluator import check_scorable, read_prompts
from evaluate.latency import unaccelerated
from search import budget as budgets
from search import config as configuration
from search import export, finalists, rungs, warm
from search.config import SearchConfig
from search.engine import Engine
from search.executor import Executor, InProcess
from search.goals import DEFAULT, parse_limit
from search.progress import Progress
from search.proposer import Proposer
from search.proposers import SOURCES
from search.seeds import ORIGINS, seeds
from search.study import Study
from strategies import StrategyError, dump, parse

EXAMPLES = """examples:
  python -m search                                    the bundled model, a few minutes on 2 cores
  python -m search --budget 30m --workers 4           more device time, more workers
  python -m search --schedulers DDIM --steps 20        keep the solver and the steps
  python -m search --resume runs/tiny-sd-20260101-120000    go on with a run
"""


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="python -m search",
        description="Search acceleration strategies for a diffusion pipeline and export the front.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = made.add_argument_group("what to search")
    what.add_argument(
        "--model", default=None, help=f"{', '.join(available())} or a .yaml file (default: tiny-sd)"
    )
    what.add_argument("--space", help=f"{', '.join(configs('spaces'))} or a .yaml file")
    what.add_argument(
        "--schedulers",
        type=_solvers,
        help="solvers to choose from, such as DDIM,DPMSolverMultistep; one keeps it fixed",
    )
    what.add_argument(
        "--steps", type=_numbers, help="step counts to choose from, such as 20, 8,10,12 or 6-50"
    )
    what.add_argument(
        "--objective",
        action="append",
        metavar="NAME",
        help="a figure to optimise, such as fd_base, fd_real, psnr, latency_s or macs; give it "
        f"once for each (default: {' and '.join(DEFAULT)})",
    )
    what.add_argument(
        "--min-NAME, --max-NAME, --max-NAME-increase",
        dest="limits",
        metavar="VALUE",
        help="a limit on a figure, or on how far it may lie above the unaccelerated pipeline's: "
        "--min-speedup 2, --max-fd_real-increase 0.5. What breaks one is never exported",
    )
    how = made.add_argument_group("how much and where")
    how.add_argument("--budget", help="device time of all workers (20gpuh, 90m, 45s) or 600evals")
    how.add_argument("--workers", type=int, help="Ray actors; 0 runs in this process")
    how.add_argument("--images", type=int, help="images per evaluation")
    how.add_argument(
        "--rungs",
        type=_numbers,
        help="score everything on few images and only the best third of each rung on the next "
        "one's, such as 8,24; the last is --images (default: --images alone)",
    )
    how.add_argument("--heldout-images", type=int, help="images per finally scored strategy")
    how.add_argument("--export", type=int, help="strategies exported, at most")
    how.add_argument(
        "--proposer",
        choices=list(SOURCES),
        metavar="NAME",
        help="; ".join(f"{name}: {kind.about}" for name, kind in SOURCES.items()),
    )
    how.add_argument(
        "--seeds",
        type=_words,
        help=f"what is evaluated first: any of {','.join(ORIGINS)}, or none (default: all)",
    )
    how.add_argument("--seed", type=int, help="of every random draw of the search (default: 0)")
    how.add_argument(
        "--sensitivity",
        type=int,
        metavar="PROMPTS",
        help="first measure on so many prompts what reusing each call costs, and seed with the "
        "schedules that follow; 0 does not (default: 0)",
    )
    how.add_argument(
        "--warm-start",
        nargs="+",
        metavar="RUN|FILE",
        help="seeds from earlier runs, strategy files or presets, as near as this space comes",
    )
    run = made.add_argument_group("the run")
    run.add_argument("--out", type=Path, help="folder of the run (default: runs/MODEL-TIME)")
    run.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    run.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    return made


def _limits(arguments: list[str]) -> tuple[dict[str, float], list[str]]:
    """Constraints among the arguments, and the other arguments."""
    found, rest, left = dict[str, float](), list[str](), list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith(("--min-", "--max-")):
            rest.append(word)
            continue
        name, _, value = word.partition("=")
        value = value or (left.pop(0) if left else "")
        try:
            found[parse_limit(name.removeprefix("--"), 0.0).text] = float(value)
        except ValueError as error:
            known = isinstance(error, StrategyError)
            reason = str(error) if known else f"{name} is {value!r}; give it a number"
            raise StrategyError(reason) from None
    return found, rest


def _words(text: str) -> list[str]:
    if text.strip() == "none":
        return []
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    """Whole numbers and ranges, such as `8,10,12` or `6-50`, ascending and each once."""
    found: set[int] = set()
    for word in _words(text):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high or high > 10_000:
            raise argparse.ArgumentTypeError(
                f"{word!r} is neither a whole number nor a range such as 6-50"
            )
        found |= set(range(low, high + 1))
    return sorted(found)


def _solvers(text: str) -> list[str]:
    """Class names, to which `Scheduler` is added where it is left out."""
    return [name if name.endswith("Scheduler") else f"{name}Scheduler" for name in _words(text)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        constraints, rest = _limits(given)
        flags = parser().parse_args(rest)
        flags.constraints = constraints or None
        return _run(flags)
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(flags: argparse.Namespace) -> int:
    config, folder = _settings(flags)
    budgets.parse(config.budget)
    check_scorable(config.model)
    lists = read_prompts(config.model)
    lists["search"].first(config.images)
    lists["heldout"].first(config.heldout_images)
    device = default_device()
    torch.set_num_threads(1)
    quiet()
    pipe = load_pipeline(config.model)
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
    console = Console(stderr=False)
    if flags.dry_run:
        console.print(_plan(config, len(known), device), highlight=False)
        return 0
    del pipe
    _create(folder, config, resumed=flags.resume is not None)
    study = Study(folder / "study.journal", config.objectives)
    executor = _executor(config, device)
    try:
        with Progress(console) as progress:
            engine = Engine(config, folder, study, executor, space, baseline, proposer, progress)
            return _drive(engine, console)
    finally:
        executor.close()


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


def _settings(flags: argparse.Namespace) -> tuple[SearchConfig, Path]:
    given = {
        key: getattr(flags, key)
        for key in (
            "space", "schedulers", "steps", "budget", "workers", "images", "heldout_images",
            "export", "proposer", "seed", "seeds", "constraints", "sensitivity", "rungs",
        )
    } | {"objectives": flags.objective}  # fmt: skip
    if flags.resume is None:
        name = flags.model or "tiny-sd"
        if given["workers"] is None and torch.cuda.is_available():
            given["workers"] = torch.cuda.device_count()
        config = configuration.resolve(name, given)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        return config, flags.out or Path("runs") / f"{config.model.name}-{stamp}"
    before = configuration.read(flags.resume)
    if flags.model is not None and Path(flags.model).stem != before.model.name:
        raise StrategyError(
            f"{flags.resume} is a run of model {before.model.name}, not of {flags.model}; leave "
            "--model out, or start a new run"
        )
    given["warm_start"] = flags.warm_start
    fixed = [key for key, value in given.items() if value is not None and key not in RESUMABLE]
    if fixed or flags.out is not None:
        name = fixed[0].replace("_", "-") if fixed else "out"
        raise StrategyError(
            f"--{name} cannot change in a resumed run; what can is "
            f"{', '.join('--' + key for key in RESUMABLE)}"
        )
    changed = {key: given[key] for key in RESUMABLE if given[key] is not None}
    return configuration.build(before.model_dump() | changed), flags.resume


RESUMABLE = ("budget", "workers", "export")


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


def _executor(config: SearchConfig, device: str) -> Executor:
    model = config.model.model_dump()
    if config.workers == 0:
        return InProcess(model, device)
    from search.ray_pool import RayPool  # Ray takes seconds to import; --workers 0 needs none.

    return RayPool(model, config.workers, device)


def _plan(config: SearchConfig, known: int, device: str) -> str:
    return (
        f"model {config.model.name} on {config.workers or 1} x {device}, "
        f"{budgets.parse(config.budget)}: {known} seeds, then {config.proposer}; "
        f"{config.images} images per evaluation, "
        f"{config.heldout_images} per exported strategy, at most {config.export} exported"
    )
