"""Timed images from a model and a strategy, on request compared with the unaccelerated ones."""

from __future__ import annotations

import argparse
import inspect
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image

import accel
from accel import families
from accel.call_records import CallRecord
from accel.commands import image_files, model_flags
from accel.models import calls
from accel.models.config import ModelConfig
from accel.models.loading import default_device
from accel.models.resolve import open_model
from accel.pipelines.devices import device_of
from accel.solvers import noise, schedulers
from strategies import Strategy, StrategyError
from strategies.rules import Rule

Report = Callable[[str, int, int], None]  # Part of the work, images done, images of the part.
NAMED: dict[int | str, str] = {"full": "in full", "skip": "skipped"}
OWN = {"guidance", "height", "width", "arguments"}  # Settings of every call in a config.


@dataclass(frozen=True)
class GenerationRequest:
    """Settings of images to generate.

    Attributes:
        prompt, negative: prompt and negative prompt; None passes no negative one on.
        seeds: seeds of the initial noise, one for each image.
        guidance, height, width: guidance scale and image size; None takes the pipeline's own.
        arguments: further arguments of the pipeline's call.
    """

    prompt: str
    negative: str | None
    seeds: Sequence[int]
    guidance: float | None = None
    height: int | None = None
    width: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class GeneratedImages:
    """Images of one setting.

    Attributes:
        images: images, one for each seed.
        seconds: seconds that each image took.
        timings: seconds of repeated runs of the first image after a warm-up; empty unless compared.
        records: records of each call of the last image; empty without a strategy.
    """

    images: list[Image.Image] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    timings: list[float] = field(default_factory=list)
    records: list[CallRecord] = field(default_factory=list)

    @property
    def latency(self) -> float:
        """Median seconds of one image."""
        return median(self.timings or self.seconds)


def open_prompted(flags: argparse.Namespace) -> tuple[Any, ModelConfig | None]:
    """Load the pipeline that the flags of a model name, see `accel.models.resolve.open_model`.

    Raises:
        StrategyError: no such model or device, it cannot be loaded, or it needs more than a prompt
            and the image for its ControlNet.
    """
    parts, name = model_flags.asked_parts(flags), flags.model
    controlled = bool(parts.get("controlnet"))
    if controlled and flags.control_image is None:
        raise StrategyError("--controlnet needs --control-image FILE beside the prompt")
    if flags.control_image is not None and not controlled:
        raise StrategyError("--control-image goes with --controlnet; give the network")
    device = flags.device or default_device()
    pipe, config = open_model(name, device, flags.download, flags.source, parts)
    if "prompt" not in calls.takes(pipe) or (calls.needs_image(pipe) and not controlled):
        raise StrategyError(f"{name} is a {type(pipe).__name__}, which needs more than a prompt")
    if "num_frames" in calls.takes(pipe):
        raise StrategyError(
            f"{name} is a {type(pipe).__name__}, which generates videos, but this command writes "
            "images; call the pipeline itself after accel.apply, or python -m evaluate to score it"
        )
    return pipe, config


def control_arguments(pipe: Any, image: Path | None) -> dict[str, Any]:
    """Argument of a pipeline's call with the image that steers its ControlNet, if one is given.

    Raises:
        StrategyError: the image cannot be read.
    """
    return {} if image is None else {calls.control_word(pipe): image_files.open_image(image)}


def own_steps(pipe: Any, config: ModelConfig | None) -> int:
    """Steps of the unaccelerated model: those of its config, else the pipeline's default."""
    if config is not None:
        return config.steps
    return int(inspect.signature(pipe.__call__).parameters["num_inference_steps"].default)


def fit_steps(
    pipe: Any, strategy: Strategy | Rule, steps: int | None, config: ModelConfig | None = None
) -> Strategy:
    """The strategy for `steps` steps, with as many calls as its solver makes for them.

    A rule keeps the pipeline's solver, and by default the model's number of steps.

    Raises:
        StrategyError: the solver cannot make so many steps, or a rule does not fit the model.
    """
    if isinstance(strategy, Rule):
        family, _ = families.find_sites(pipe)
        solver, steps = type(pipe.scheduler).__name__, steps or own_steps(pipe, config)
        made = schedulers.count_calls(pipe.scheduler, solver, steps)
        return strategy.fitted(family, solver, made, steps)
    if steps is None or steps == strategy.steps:
        schedulers.check_steps(pipe.scheduler, strategy.steps)
        return strategy
    calls = schedulers.count_calls(pipe.scheduler, strategy.scheduler, steps)
    return strategy.resample(calls=calls, steps=steps)


def _silent(name: str, done: int, count: int) -> None:
    """Callback for progress that shows nothing."""


def generate_images(
    pipe: Any, request: GenerationRequest, strategy: Strategy, report: Report = _silent
) -> GeneratedImages:
    """Generate accelerated images.

    Args:
        pipe: pipeline of the model; left without a strategy.
        request: settings of the images.
        strategy: strategy to accelerate with.
        report: callback for progress.

    Raises:
        StrategyError: the strategy does not fit the model, or the pipeline refuses the request.
    """
    found = GeneratedImages()
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        for done, seed in enumerate(request.seeds):
            report("accelerated", done, len(request.seeds))
            _add(found, once(pipe, request, strategy.steps, seed))
        found.records = accel.stats(pipe)
    return found


def generate_both(
    pipe: Any,
    request: GenerationRequest,
    strategy: Strategy,
    steps: int,
    repeat: int,
    report: Report = _silent,
) -> tuple[GeneratedImages, GeneratedImages]:
    """Generate unaccelerated and accelerated images of the same seeds.

    Latency is the median of `repeat` runs of the first image, after one warm-up of each setting, in
    alternating turns.

    Args:
        pipe: pipeline of the model; left without a strategy.
        request: settings of the images.
        strategy: strategy to accelerate with.
        steps: steps of the unaccelerated model.
        repeat: number of timed runs of each.
        report: callback for progress.

    Raises:
        StrategyError: the strategy does not fit the model, or the pipeline refuses the request.
    """
    first = request.seeds[0]
    report("warming up", 0, 2)
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        once(pipe, request, strategy.steps, first)
    report("warming up", 1, 2)
    once(pipe, request, steps, first)
    base, fast = GeneratedImages(), GeneratedImages()
    for turn in range(repeat):
        report("timing both", 2 * turn, 2 * repeat)
        base.timings.append(once(pipe, request, steps, first)[1])
        with accel.accelerated(pipe, strategy, set_scheduler=True):
            fast.timings.append(once(pipe, request, strategy.steps, first)[1])
    for done, seed in enumerate(request.seeds):
        report("unaccelerated", done, len(request.seeds))
        _add(base, once(pipe, request, steps, seed))
    drawn = generate_images(pipe, request, strategy, report)
    drawn.timings = fast.timings
    return base, drawn


def summarise_calls(records: Sequence[CallRecord]) -> str:
    """Summary of a generation's calls in one line: their number, depths and numbers of tokens."""
    depths = Counter(record.depth for record in records)
    shown = [
        f"{count} {NAMED.get(depth, f'at depth {depth}')}"
        for depth, count in sorted(depths.items(), key=lambda item: (item[0] != "full", -item[1]))
    ]
    line = f"{len(records)} calls ran: {', '.join(shown)}"
    tokens = [pair for record in records for pair in record.tokens.values()]
    if tokens:
        kept = sum(kept for _, kept in tokens) / sum(total for total, _ in tokens)
        line += f"; where tokens were taken out, {kept:.0%} were kept"
    reused = sum(len(record.reused) for record in records)
    return line + (f"; {reused} results of attentions and blocks were reused" if reused else "")


def generated(images: GeneratedImages) -> dict[str, Any]:
    """Times of the images of one setting as plain JSON."""
    return {
        "latency_s": images.latency, "seconds": images.seconds, "timings": images.timings
    }  # fmt: skip


def _add(found: GeneratedImages, drawn: tuple[Image.Image, float]) -> None:
    found.images.append(drawn[0])
    found.seconds.append(drawn[1])


def once(pipe: Any, request: GenerationRequest, steps: int, seed: int) -> tuple[Image.Image, float]:
    """Generate one image and time it. All of its noise comes from the seed, including the solver's.

    Raises:
        StrategyError: the pipeline refuses the request, or draws noise that no seed reaches.
    """
    chosen = {
        "negative_prompt": request.negative,
        calls.guidance_word(pipe) or "guidance_scale": request.guidance,
        "height": request.height,
        "width": request.width,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    given |= request.arguments
    generator = torch.Generator("cpu").manual_seed(seed)
    began = time.perf_counter()
    try:
        with noise.seeded(pipe, [generator]):
            image = pipe(
                request.prompt, num_inference_steps=steps, generator=generator, **given
            ).images[0]
    except StrategyError:
        raise
    except (ValueError, TypeError, torch.OutOfMemoryError) as error:
        reason = " ".join(str(error).split())
        raise StrategyError(f"{type(pipe).__name__} cannot generate this: {reason}") from None
    device = device_of(pipe)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return image, time.perf_counter() - began
