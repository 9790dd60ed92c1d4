"""Parser of `python -m accel`. Reading flags needs no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from accel.commands import model_flags
from accel.models.config import SOURCE_HELP, model_help
from strategies.commands.former_flags import FormerFlag
from strategies.commands.result_output import CommandParser

REPEAT = 3
EXAMPLES = """examples:
  python -m accel generate --strategy examples/tiny-sd-no-loss.json \\
      --prompt "a large red circle on a plain dark background" --compare --out circle.png
  python -m accel generate --model path/to/stable-diffusion-v1-5 --strategy dato-b1 \\
      --prompt "a harbour at dawn" --images 4 --out harbour.png
"""


def parser() -> CommandParser:
    """The command and its flags."""
    made = CommandParser(
        prog="python -m accel", description="Generate images with a strategy, or plan one."
    )
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    one = commands.add_parser(
        "generate",
        help="generate images with a strategy",
        description="Generate images with a strategy, on request together with the unaccelerated "
        "ones.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = one.add_argument_group("images")
    what.add_argument("--prompt", required=True)
    what.add_argument("--negative", help="negative prompt")
    what.add_argument(
        "--seed", type=_seed, default=0, help="random seed of the first image (default: 0)"
    )
    what.add_argument(
        "--images",
        type=_positive,
        default=1,
        metavar="N",
        help="number of images; each has the next seed (default: 1)",
    )
    what.add_argument("--guidance", type=float, help="guidance scale (default: the model's)")
    what.add_argument("--height", type=_positive, help="in pixels (default: the model's)")
    what.add_argument("--width", type=_positive, help="in pixels (default: the model's)")
    how = one.add_argument_group("model and strategy")
    how.add_argument(
        "--model",
        default="tiny-sd",
        help=f"{model_help()} (default: tiny-sd)",
    )
    how.add_argument("--source", metavar="FOLDER", help=SOURCE_HELP)
    how.add_argument(
        "--strategy",
        required=True,
        help="a preset's name, a strategy file or a run's folder (its knee)",
    )
    how.add_argument(
        "--resample-steps",
        dest="steps",
        type=_positive,
        metavar="N",
        help="resample the strategy to this number of steps",
    )
    how.add_argument("--steps", action=FormerFlag, now="--resample-steps", type=_positive)
    how.add_argument(
        "--device",
        default=None,
        help="device, such as cpu or cuda:1 (default: a GPU, if there is one)",
    )
    how.add_argument("--download", action="store_true", help="fetch missing weights from the hub")
    model_flags.add(one)
    model_flags.add_control_image(one)
    out = one.add_argument_group("result")
    out.add_argument(
        "--out", type=Path, required=True, help="image file; several images make a grid"
    )
    out.add_argument(
        "--compare", action="store_true", help="add the unaccelerated image, and time both"
    )
    out.add_argument(
        "--repeats",
        dest="repeat",
        type=_positive,
        metavar="R",
        help=f"with --compare, timed runs of each (default: {REPEAT})",
    )
    out.add_argument("--repeat", action=FormerFlag, now="--repeats", type=_positive, dest="repeat")
    one.add_result_flags("times, and what ran at each call", group=out)
    one.set_defaults(command="generate")
    _add_calibrate(commands)
    return made


def _add_calibrate(commands: Any) -> None:
    """Add the command `calibrate` and its flags."""
    one = commands.add_parser(
        "calibrate",
        help="plan Block Caching from measured changes of each block",
        description="Generate the prompts unaccelerated and measure how much each block's "
        "contribution changes from call to call. Write the Block Caching strategy "
        "that computes a block again once its change adds up to more than delta.",
    )
    one.add_argument("--model", default="tiny-sd", help="model, as for generate (default: tiny-sd)")
    one.add_argument("--source", metavar="FOLDER", help=SOURCE_HELP)
    model_flags.add(one)
    model_flags.add_control_image(one)
    one.add_argument(
        "--prompt",
        action="append",
        required=True,
        help="prompt to measure on; may be given repeatedly",
    )
    one.add_argument(
        "--delta", type=float, default=0.2, help="threshold on the summed change (default: 0.2)"
    )
    one.add_argument("--steps", type=int, help="number of steps (default: the model's)")
    one.add_argument(
        "--device",
        default=None,
        help="device, such as cpu or cuda:1 (default: a GPU, if there is one)",
    )
    one.add_argument("--download", action="store_true", help="fetch missing weights from the hub")
    one.add_argument("--out", type=Path, required=True, help="strategy file to write")
    one.add_result_flags("the measured changes and the strategy", "one row for each block")
    one.set_defaults(command="calibrate")


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**62:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to below 2**62")
    return int(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)
