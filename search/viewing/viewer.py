"""Images along a front: the places of a slider, and what is shown at each; needs no Gradio."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from evaluate.images.generation import run_pipeline as generate
from evaluate.images.generation import to_pixels
from evaluate.images.prompts import Prompts
from search.objectives.labels import score_text, short
from search.results.run import FrontPoint, Run, named_points
from search.study.evaluation import strategy_kind
from strategies import Strategy, StrategyError, describe

LEAST = 320  # Pixels of the longer side of a shown image; smaller ones are enlarged.
KEPT = 200  # Images that are kept, so that moving the slider back costs nothing.
Draw = Callable[[Strategy, str, int], tuple[Image.Image, float]]


@dataclass(frozen=True)
class SliderPlace:
    """One place of the slider.

    Attributes:
        strategy: strategy that generates there.
        title: speedup, and the name of the point if it has one.
        lines: what it does, and what was measured.
    """

    strategy: Strategy
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ShownImages:
    """The unaccelerated image, the image of the chosen place, and a text about both."""

    unaccelerated: Image.Image
    chosen: Image.Image
    text: str


class FrontViewer:
    """Images of one run's front.

    Args:
        run: the run.
        unaccelerated: the unaccelerated pipeline as a strategy.
        draw: function that generates an image of a strategy, a prompt and a seed, and says how many
            seconds it took.

    Raises:
        StrategyError: the run has no front yet, or its model generates no images from a prompt.
    """

    def __init__(self, run: Run, unaccelerated: Strategy, draw: Draw) -> None:
        self.name, self._draw, self._unaccelerated = run.config.model.name, draw, unaccelerated
        points = run.front()
        if not points:
            raise StrategyError(f"{run.folder}: the front is empty; there is nothing to show")
        self.places = _places(run, points, unaccelerated)
        self._lock = threading.Lock()
        self._images: OrderedDict[tuple[str, str, int], tuple[Image.Image, float]] = OrderedDict()

    @property
    def last(self) -> int:
        """Number of the fastest place; 0 is the unaccelerated pipeline."""
        return len(self.places) - 1

    @property
    def start(self) -> int:
        """Number of the place that is shown first: the knee."""
        found = [number for number, one in enumerate(self.places) if "knee" in one.title]
        return found[0] if found else self.last

    def show(self, prompt: str, place: float, seed: float) -> ShownImages:
        """Images of a prompt at a place of the slider.

        Raises:
            StrategyError: the prompt is empty, or the pipeline refuses it.
        """
        if not prompt.strip():
            raise StrategyError("the prompt is empty; type what the image should show")
        chosen = self.places[max(0, min(self.last, round(place)))]
        before, plain = self._image(self._unaccelerated, prompt, int(seed))
        after, fast = self._image(chosen.strategy, prompt, int(seed))
        took = f"{plain:.2f} s unaccelerated, {fast:.2f} s here ({plain / max(fast, 1e-9):.2f}x)"
        return ShownImages(before, after, "\n\n".join((f"**{chosen.title}**", took, *chosen.lines)))

    def _image(self, strategy: Strategy, prompt: str, seed: int) -> tuple[Image.Image, float]:
        key = strategy.digest, prompt, seed
        with self._lock:  # One pipeline generates one image at a time.
            if key not in self._images:
                image, seconds = self._draw(strategy, prompt, seed)
                self._images[key] = enlarged_view(image), seconds
                while len(self._images) > KEPT:
                    self._images.popitem(last=False)
            self._images.move_to_end(key)
            return self._images[key]


def enlarged_view(image: Image.Image) -> Image.Image:
    """An image of at least `LEAST` pixels; the pixels of a small one become squares."""
    times = -(-LEAST // max(image.size))
    if times <= 1:
        return image
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.NEAREST)


def drawing(pipe: Any, config: Any) -> Draw:
    """Function that generates with a pipeline and its config.

    Raises:
        StrategyError: the pipeline generates something else than images from a prompt.
    """
    import accel
    from accel.models import calls

    if "prompt" not in calls.takes(pipe) or config.frames or calls.needs_image(pipe):
        raise StrategyError(
            f"{config.name} is a {type(pipe).__name__}; this page shows models that generate "
            "images from a prompt alone"
        )

    def draw(strategy: Strategy, prompt: str, seed: int) -> tuple[Image.Image, float]:
        with accel.accelerated(pipe, strategy, set_scheduler=True):
            began = time.perf_counter()
            found = generate(pipe, config, strategy, Prompts((prompt,), (seed,)))
            seconds = time.perf_counter() - began
        pixels: np.ndarray[Any, np.dtype[np.uint8]] = to_pixels(found)[0]
        return Image.fromarray(pixels), seconds

    return draw


def _places(
    run: Run, points: Sequence[FrontPoint], unaccelerated: Strategy
) -> tuple[SliderPlace, ...]:
    names = {id(one): name for name, one in named_points(points).items()}
    model = run.config.model
    found = [
        SliderPlace(
            unaccelerated,
            "unaccelerated",
            (f"{model.scheduler.removesuffix('Scheduler')}, {model.steps} steps",),
        )
    ]
    for point in sorted(points, key=lambda one: one.scores["speedup"]):
        title = score_text("speedup", point.scores["speedup"])
        name = names.get(id(point))
        scores = ", ".join(
            f"{short(one)} {score_text(one, point.scores[one])}" for one in run.config.objectives
        )
        strategy = point.strategy
        lines = (
            f"{strategy.solver_text.removesuffix('Scheduler')}, {strategy.steps} steps; "
            f"{strategy_kind(point.origin, strategy, run.config.proposer)}; measured: {scores}",
            *(describe.summary(strategy) if strategy.methods else ["fewer steps, no method"]),
        )
        found.append(SliderPlace(strategy, f"{title}, {name}" if name else title, lines))
    return tuple(found)
