"""Parsers of `python -m evaluate` and of its `transfer`. Reading flags needs no torch."""

from __future__ import annotations

import argparse

from evaluate.commands.options import MODEL_HELP, add_output, add_setting, add_what
from strategies.commands.result_output import CommandParser

EQUAL = ("latency", "macs")
SCORE_EXAMPLES = """\
examples:
  python -m evaluate --strategy examples/tiny-sd-no-loss.json
  python -m evaluate --model FOLDER --strategy dato-b1 --reference self --images 256
  python -m evaluate --model FOLDER --strategy dato-b1 --metrics fid,clip-score --images 2000 \\
      --prompts imagenet --reference IMAGENET/val --reference-per-class 5
  python -m evaluate --model FOLDER --random-weights --strategy dato-b1 --calls     speed alone
  python -m evaluate transfer dato-b1 --to tiny-sd --base-steps 30  what a strategy keeps elsewhere
"""
TRANSFER_EXAMPLES = """\
examples:
  python -m evaluate transfer examples/tiny-sd-no-loss.json --to tiny-sd \\
      --steps 20 --scheduler DPMSolverMultistepScheduler --images 16
  python -m evaluate transfer dato-b1 deepcache-n3 --to sdxl --source FOLDER --base-steps 30
"""


def score_parser() -> CommandParser:
    """Parser of `python -m evaluate`."""
    made = CommandParser(
        prog="python -m evaluate",
        description="Score strategies and the unaccelerated model on the same prompts and noise.",
        epilog=SCORE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = made.add_argument_group("model and strategies")
    what.add_argument("--model", default="tiny-sd", help=f"{MODEL_HELP} (default: tiny-sd)")
    what.add_argument(
        "--strategy",
        action="append",
        default=[],
        help="a strategy file, a preset's name or a run's folder (its knee); may be given again",
    )
    add_what(what)
    add_setting(made)
    add_output(made)
    return made


def transfer_parser() -> CommandParser:
    """Parser of `python -m evaluate transfer`."""
    made = CommandParser(
        prog="python -m evaluate transfer",
        description="Score strategies on another model, solver, number of steps or size than "
        "they were made for. Compare them with the unaccelerated model and with "
        "fewer steps of the same solver that take as long.",
        epilog=TRANSFER_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("strategy", nargs="+", metavar="S", help="strategy files or presets' names")
    what = made.add_argument_group("target and comparison")
    what.add_argument("--to", dest="model", required=True, metavar="MODEL", help=MODEL_HELP)
    what.add_argument(
        "--skip-levels",
        type=int,
        metavar="N",
        help="skip levels of the UNet that the strategies were made on (default: those in their "
        "files, else 12, Stable Diffusion 1.x and 2.x)",
    )
    what.add_argument(
        "--equal",
        choices=EQUAL,
        default=EQUAL[0],
        help="cost at which fewer steps are compared with a strategy; other programs on the "
        f"machine do not change macs (default: {EQUAL[0]})",
    )
    add_what(what)
    add_setting(made)
    add_output(made)
    return made
