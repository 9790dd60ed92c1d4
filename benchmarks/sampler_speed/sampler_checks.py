"""Cost of the sampler's checks in a generation: the pipeline of a pass, and that all is in place.

    python -m benchmarks run checks [--turns 5]

A strategy of DeepCache, DaTo and T-GATE on 25-call generations of tiny-sd through its pipeline, and
of Stable Diffusion XL's topology at a tenth of its width. The clock runs inside each check, so the
share needs no second run to compare with. Writes `results/checks.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import torch

import accel
import zoo
from accel import sampler
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.networks.topologies import sized
from benchmarks.sampler_speed.denoising_loop import Network
from strategies import Strategy

CALLS = 25
METHODS: dict[str, Any] = {
    "deepcache": {"depth": ["full", 3, 1, 1, 1] * 5},
    "dato": {"ratio": 0.5},
    "tgate": {"gate": 20},
}


class Timed:
    """Seconds spent in what is wrapped."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added up."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


@contextmanager
def timing() -> Iterator[Timed]:
    """Add up what the checks of every sampler take inside the `with` block."""
    timed = Timed()
    names, own = vars(sampler), {n: vars(sampler.Sampler)[n] for n in ("_settle", "_moment")}
    found = names["calling"]
    names["calling"] = timed.wrap(found)
    for name, function in own.items():
        setattr(sampler.Sampler, name, timed.wrap(function))
    try:
        yield timed
    finally:
        names["calling"] = found
        for name, function in own.items():
            setattr(sampler.Sampler, name, function)


def tiny_sd() -> tuple[Any, Callable[[], Any], Strategy]:
    """The bundled pipeline, a generation of it, and the strategy."""
    pipe = zoo.load("tiny-sd")
    pipe.set_progress_bar_config(disable=True)
    strategy = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=CALLS, calls=CALLS, methods=METHODS
    )
    prompt = "a large red circle on a plain dark background"
    draws = partial(pipe, prompt, num_inference_steps=CALLS, output_type="latent")
    return pipe, draws, strategy


def sdxl() -> tuple[Any, Callable[[], Any], Strategy]:
    """Stable Diffusion XL at a tenth of its width, latents of 32 x 32."""
    net = Network(partial(sized, "sdxl", 0.1, 32), CALLS, "cpu")
    return net.pipe, net.draw, net.plan(METHODS)


def shares(build: Callable[[], Any], turns: int) -> dict[str, float]:
    """Medians over turns: seconds of a generation and of its checks, and their share."""
    pipe, draws, strategy = build()
    rows = []
    with accel.accelerated(pipe, strategy):
        draws()
        for _ in range(turns):
            with timing() as timed:
                start = time.perf_counter()
                draws()
                rows.append((time.perf_counter() - start, timed.seconds))
    whole, checks = (median(column) for column in zip(*rows, strict=True))
    return {
        "generation_s": whole,
        "checks_s": checks,
        "share": median(check / total for total, check in rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    result = {
        "calls": CALLS,
        "turns": flags.turns,
        "tiny-sd": shares(tiny_sd, flags.turns),
        "sdxl, width 0.1": shares(sdxl, flags.turns),
    }
    print(json.dumps(result, indent=2))
    target = RESULTS / "checks.json"
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
