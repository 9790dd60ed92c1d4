"""Flags of a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from accel.commands import model_flags
from accel.models.config import model_help
from search.commands import COMMANDS
from search.commands.flags import model_options as setting
from search.commands.flags.help_formatter import Formatter
from search.commands.flags.values import parse_numbers, parse_words, solvers
from search.initial.baselines import ORIGINS
from search.objectives.metric_set import DEFAULT_OBJECTIVES
from search.objectives.objectives import BUNDLED_OBJECTIVES
from search.proposers import PROPOSERS
from search.study.storage.location import PASSWORD
from search.tracking import TRACKERS
from strategies.commands.former_flags import FormerFlag
from strategies.commands.result_output import CommandParser
from strategies.data_files.configs import configs

Group = argparse._ArgumentGroup  # The type of a group has no public name.
USAGE = "python -m search [flags]\n       python -m search COMMAND RUN [flags]"
EXAMPLES = """examples:
  python -m search                                     the bundled model, a few minutes on 2 cores
  python -m search --budget 30m --workers 4            more device time, more workers
  python -m search --schedulers DDIM --steps 20        keep the solver and the steps
  python -m search --model sd15 --download --dry-run   what 20 GPU hours buy on this device
  python -m search --model FOLDER --budget 20gpuh --max-memory 8GiB
  python -m search --objective fd_real --objective latency_s --min-speedup 2
  python -m search --resume runs/tiny-sd-20260101-120000    continue a run
  python -m search status runs/tiny-sd-20260101-120000      its status, also while it runs
"""


def parser() -> CommandParser:
    """Parser of the flags."""
    width = max(map(len, COMMANDS)) + 2
    commands = "\n".join(f"  {name:<{width}}{about}" for name, about in COMMANDS.items())
    made = CommandParser(
        prog="python -m search",
        usage=USAGE,
        description="Search acceleration strategies for a diffusion pipeline and export the "
        f"front.\n\ncommands, each with a --help of its own:\n{commands}",
        epilog=EXAMPLES,
        formatter_class=Formatter,
    )
    _space_options(made.add_argument_group("model, space and objectives"))
    model_flags.add(made)
    setting.add(made)
    _budget_options(made.add_argument_group("budget"))
    _search_options(made.add_argument_group("search"))
    _worker_options(made.add_argument_group("workers"))
    _run(made.add_argument_group("run"))
    _logging_options(logging := made.add_argument_group("logging"))
    made.add_result_flags(
        "the front and the summary, or with --dry-run the prediction",
        "one row for each strategy of the front",
        logging,
    )
    return made


def _space_options(group: Group) -> None:
    group.add_argument(
        "--model",
        metavar="NAME",
        help=f"{model_help()} (default: tiny-sd)",
    )
    group.add_argument(
        "--space",
        metavar="NAME",
        help=f"knobs and their choices: {', '.join(configs('spaces'))} or a .yaml file (default: "
        "the model's)",
    )
    group.add_argument(
        "--methods",
        type=parse_words,
        metavar="NAMES",
        help="compose the space of these methods' choices, such as deepcache,dato,catome; python "
        "-m strategies space shows it (default: the space's)",
    )
    group.add_argument(
        "--schedulers",
        type=solvers,
        metavar="NAMES",
        help="solvers to choose from, such as DDIM,DPMSolverMultistep; one keeps it fixed "
        "(default: the space's)",
    )
    group.add_argument(
        "--steps",
        type=parse_numbers,
        metavar="NUMBERS",
        help="step counts to choose from, such as 20, 8,10,12 or 6-50 (default: the space's)",
    )
    group.add_argument(
        "--objective",
        action="append",
        metavar="NAME",
        help="score to optimise, such as kid_base, fid, psnr, image_reward, latency, macs or "
        f"memory; give it once for each (default: {' and '.join(DEFAULT_OBJECTIVES)}, for bundled "
        f"models {' and '.join(BUNDLED_OBJECTIVES)})",
    )
    group.add_argument(
        "--margin",
        action="append",
        metavar="NAME=VALUE",
        help="amount by which a score may be worse than the unaccelerated pipeline's and still "
        "count as no loss, such as fid=0.5 or right_shape=0.01; give it once for each "
        "(default: docs/scoring.md)",
    )
    group.add_argument(
        "--min-NAME, --max-NAME, --max-NAME-increase",
        dest="limits",
        metavar="VALUE",
        help="limit on a score, or on its increase over the unaccelerated pipeline's: "
        "--min-speedup 2, --max-fid-increase 0.5, --max-memory 8GiB. A strategy that breaks "
        "one is never exported",
    )


def _budget_options(group: Group) -> None:
    group.add_argument(
        "--budget",
        metavar="AMOUNT",
        help="device time of all workers together (20gpuh, 90m, 45s), or 600evals (default: the "
        "model's; 12m for tiny-sd)",
    )
    group.add_argument(
        "--images", type=int, metavar="N", help="images per evaluation (default: the model's)"
    )
    group.add_argument(
        "--rungs",
        type=parse_numbers,
        metavar="NUMBERS",
        help="image counts for successive halving, such as 8,24: the best third of each rung is "
        "scored on the next. The last is --images; one number turns it off (default: a "
        "quarter of --images first, if that is at least 4)",
    )
    group.add_argument(
        "--heldout-images",
        type=int,
        metavar="N",
        help="held-out images of each finally scored strategy (default: the model's)",
    )
    group.add_argument(
        "--export", type=int, metavar="N", help="largest number of exported strategies (default: 8)"
    )


def _search_options(group: Group) -> None:
    group.add_argument(
        "--proposer",
        choices=list(PROPOSERS),
        metavar="NAME",
        help="algorithm after the initial strategies (default: nsga2; nsga3 from 3 objectives)\n"
        + "\n".join(f"{name}: {kind.summary}" for name, kind in PROPOSERS.items()),
    )
    group.add_argument(
        "--initial",
        dest="seeds",
        type=parse_words,
        metavar="NAMES",
        help=f"initial strategies to evaluate first: any of {','.join(ORIGINS)}, or none "
        "(default: all)",
    )
    group.add_argument("--seeds", action=FormerFlag, now="--initial", type=parse_words)
    group.add_argument(
        "--warm-start",
        nargs="+",
        metavar="RUN|FILE",
        help="initial strategies from earlier runs, strategy files or presets; each becomes the "
        "nearest strategy of this space",
    )
    group.add_argument(
        "--surrogate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let a surrogate model of the objectives choose each nsga2 or nsga3 proposal from "
        "candidates (default: yes, if the model is good enough)",
    )
    group.add_argument(
        "--sensitivity",
        type=int,
        metavar="PROMPTS",
        help="number of prompts on which to measure first how much reusing each stretch of calls "
        "changes the images; initial strategies follow from it; 0 measures nothing (default: 0)",
    )
    group.add_argument(
        "--seed", type=int, metavar="N", help="random seed of the search (default: 0)"
    )


def _worker_options(group: Group) -> None:
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="largest number of Ray workers; 0 runs in this process (default: one per GPU, 2 "
        "without a GPU)",
    )
    group.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="N",
        help="GPUs for each worker, such as 0.5 for two workers on a GPU (default: 1)",
    )
    group.add_argument(
        "--cpus-per-worker",
        type=int,
        metavar="N",
        help="cores for each process of a worker (default: 1)",
    )
    group.add_argument(
        "--parallel",
        choices=["context"],
        help="spread each image over the devices of a worker: context shares its tokens "
        "(docs/parallel.md); give --gpus-per-worker too (default: one device per worker)",
    )
    group.add_argument(
        "--processes-per-worker",
        type=int,
        metavar="N",
        help="with --parallel: processes of each worker (default: one per GPU of it)",
    )
    group.add_argument(
        "--address",
        help="address of a running Ray cluster, auto or host:port; nodes that join it later are "
        "used, up to --workers (default: Ray is started on this machine)",
    )
    group.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="cancel a candidate that takes longer (default: ten times its predicted time)",
    )


def _run(group: Group) -> None:
    group.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder of the run (default: runs/MODEL-TIME)"
    )
    group.add_argument("--resume", type=Path, metavar="RUN", help="continue the run in this folder")
    group.add_argument(
        "--recorded-prompts",
        action="store_true",
        help="with --resume: use the prompts that the run's folder keeps, if the prompt files have "
        "changed since it began; the run uses these from then on",
    )
    group.add_argument(
        "--storage",
        metavar="URL",
        help="keep the study in a database, such as sqlite:///studies.db or "
        "postgresql://me@host/studies, not in RUN/study.journal. A password is never "
        f"written: with --resume give the URL again or set {PASSWORD}",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="measure two turns of the latency table and two batches of images, predict the cost "
        "of the search, and stop; this takes as long for a small budget",
    )


def _logging_options(group: Group) -> None:
    group.add_argument(
        "--log-json",
        metavar="FILE|-",
        help="append one JSON line for each event (docs/events.md); - writes them to standard "
        "output, and other lines to standard error",
    )
    group.add_argument(
        "--track",
        action="append",
        choices=list(TRACKERS),
        metavar="NAME",
        help=f"also report to an experiment tracker: {' or '.join(TRACKERS)}, each an extra of "
        "the same name; give it once for each",
    )
