"""`python -m accel generate`: images with a strategy, on request next to the unaccelerated ones."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from accel.commands import image_files, model_flags
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
from accel.commands.parsers import REPEAT
from accel.models import notes
from accel.models.loading import quiet
from accel.models.own_settings import model_title
from accel.models.parts import PARTS
from accel.models.resolve import given_parts
from strategies import Strategy, describe
from strategies.commands.progress_bar import ProgressBar
from strategies.commands.result_output import ResultOutput
from strategies.files import find_strategy
from strategies.sharing import measured_on


def generate_command(flags: argparse.Namespace, result: ResultOutput) -> int:
    """Generate what the flags ask for; returns the exit code.

    Args:
        flags: parsed flags.
        result: output of the times.

    Raises:
        StrategyError: the strategy does not fit the model, or a flag is wrong.
    """
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
