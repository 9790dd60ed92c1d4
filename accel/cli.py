"""The command line: `python -m accel`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from accel.commands import image_files, model_flags
from accel.commands.calibrate import add_command
from accel.commands.generate import (
    OWN,
    GeneratedImages,
    GenerationRequest,
    control_arguments,
    fit_steps,
    generate_both,
    generate_images,
    generated,
    open_prompted,
    own_steps,
    summarise_calls,
)
from accel.models import notes
from accel.models.config import SOURCE_HELP, model_help
from accel.models.loading import quiet
from accel.models.own_settings import model_title
from accel.models.parts import PARTS
from accel.models.resolve import given_parts
from strategies import Strategy, StrategyError, describe
from strategies.commands.former_flags import FormerFlag
from strategies.commands.interrupts import stopped
from strategies.commands.progress_bar import ProgressBar
from strategies.commands.result_output import CommandParser, ResultOutput
from strategies.files import find_strategy
from strategies.sharing import measured_on

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
    one.set_defaults(run=_generate)
    add_command(commands)
    return made


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**62:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to below 2**62")
    return int(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    flags = parser().parse_args(arguments)
    try:
        with ResultOutput(flags) as result:
            return int(flags.run(flags, result))
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return stopped()
    except BrokenPipeError:  # The reader of our lines, such as head, has closed.
        sys.stderr.close()
        return 0


def _generate(flags: argparse.Namespace, result: ResultOutput) -> int:
    if flags.repeat is not None and not flags.compare:
        raise StrategyError("--repeats is for timings; give --compare too")
    image_files.check_target(flags.out)
    asked = find_strategy(flags.strategy)
    quiet()
    pipe, config = open_prompted(flags)
    model = model_title(flags.model) if config is None else config.name
    dtype = None if config is None else config.dtype
    own_parts = (
        given_parts(flags.model, model_flags.asked_parts(flags)) if config is None else config
    )
    parts = own_parts.model_dump(mode="json", include={*PARTS})
    others = []
    if isinstance(asked, Strategy):
        others = measured_on.model_differences(asked, model, dtype, parts)
    if others:
        notes.tell(measured_on.measured_on_line(flags.strategy, model, others))
    strategy = fit_steps(pipe, asked, flags.steps, config)
    if isinstance(asked, Strategy) and strategy is not asked:
        print(
            f"resampled from {asked.steps} steps ({asked.calls} calls) to {strategy.steps} "
            f"({strategy.calls} calls)"
        )
    own = {} if config is None else config.model_dump(include=OWN)
    given = {key: getattr(flags, key) for key in ("guidance", "height", "width")}
    chosen = own | {key: value for key, value in given.items() if value is not None}
    seeds = range(flags.seed, flags.seed + flags.images)
    steered = control_arguments(pipe, flags.control_image)
    chosen["arguments"] = {**chosen.get("arguments", {}), **steered}
    request = GenerationRequest(flags.prompt, flags.negative, seeds, **chosen)
    label = Path(flags.strategy).stem if Path(flags.strategy).exists() else flags.strategy
    fast = ImageCaption(label, f"{strategy.solver_text}, {strategy.steps} steps")
    print("\n".join([f"{fast.label}: {fast.solver}", *describe.summary(strategy)]))
    found: dict[str, Any] = {"file": str(flags.out), "seeds": list(seeds)}
    if flags.compare:
        steps = own_steps(pipe, config)
        plain = ImageCaption("unaccelerated", f"{type(pipe.scheduler).__name__}, {steps} steps")
        repeat = flags.repeat or REPEAT
        with ProgressBar() as report:
            base, drawn = generate_both(pipe, request, strategy, steps, repeat, report)
        found |= {"unaccelerated": generated(base), "speedup": base.latency / drawn.latency}
        picture = _compared((plain, base), (fast, drawn), seeds, repeat)
    else:
        with ProgressBar() as report:
            drawn = generate_images(pipe, request, strategy, report)
        _report(label, drawn, seeds)
        picture = image_files.image_grid(drawn.images)
    image_files.save_image(picture, flags.out)
    print(summarise_calls(drawn.records))
    print(f"written to {flags.out}")
    calls = [asdict(record) for record in drawn.records]
    mine = {"name": label, "digest": strategy.digest, **generated(drawn), "calls": calls}
    result.write(found | {"strategy": mine})
    return 0


@dataclass(frozen=True)
class ImageCaption:
    """Caption of an image: a strategy's name and its solver."""

    label: str
    solver: str


def _compared(
    plain: tuple[ImageCaption, GeneratedImages],
    fast: tuple[ImageCaption, GeneratedImages],
    seeds: range,
    repeat: int,
) -> Image.Image:
    """Print the times of both sides, and return both images with the times as captions."""
    speedup = plain[1].latency / fast[1].latency
    captions, figures = [], []
    for side, drawn in (plain, fast):
        _report(side.label, drawn, seeds)
        figures.append(f"{side.label} ({side.solver}) {_time(drawn.latency)}")
        captions.append(f"{side.label}\n{side.solver}\n{_time(drawn.latency)}")
    captions[1] += f" ({speedup:.2f}x)"
    print(f"one image, median of {repeat}: {', '.join(figures)}")
    print(f"speedup: {speedup:.2f}x")
    return image_files.side_by_side(
        [image_files.image_grid(image_files.enlarged(drawn.images)) for _, drawn in (plain, fast)],
        captions,
    )


def _report(label: str, drawn: GeneratedImages, seeds: range) -> None:
    for seed, seconds in zip(seeds, drawn.seconds, strict=True):
        print(f"{label}, seed {seed}: {_time(seconds)}")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
