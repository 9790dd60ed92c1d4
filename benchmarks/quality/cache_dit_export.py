"""FORA beside the same schedules in cache-dit, as `python -m strategies export` writes them.

    python -m benchmarks run mask --images 32

tiny-pixart, 25 DDIM steps, held-out prompts, both computing all blocks at the same calls: how far
either is from the unaccelerated images and both from each other. cache-dit adds what the blocks
behind the first added last; FORA reuses each sublayer's output before its gate. Needs cache-dit
(in the `test` extra). Writes `benchmarks/results/cache-dit.json`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import cache_dit
import torch

import accel
import zoo
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from strategies import Strategy
from strategies.exchange import cache_dit as settings
from strategies.methods.fora import FORA

STEPS = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    pipe = zoo.load("tiny-pixart")
    lines = (zoo.folder("tiny-pixart").parents[1] / "prompts" / "heldout.txt").read_text()
    prompts = lines.splitlines()[: flags.images]
    plain, result = draw(pipe, prompts), {}
    for interval in (2, 3, 5, 7):
        one = Strategy.create(
            family="dit",
            scheduler="DDIMScheduler",
            steps=STEPS,
            calls=STEPS,
            methods={"fora": FORA.published(STEPS, interval)},
        )
        with accel.accelerated(pipe, one):
            ours = draw(pipe, prompts)
        cache_dit.enable_cache(pipe, **cache_dit.load_configs(settings.cache_dit(one)))
        theirs = draw(pipe, prompts)
        cache_dit.disable_cache(pipe)
        pairs = {"fora": (ours, plain), "cache-dit": (theirs, plain), "apart": (ours, theirs)}
        row = {name: psnr(*pair) for name, pair in pairs.items()}
        row |= {f"{name}_change": change(*pair) for name, pair in pairs.items()}
        result[f"N={interval}"] = row
        print(f"N={interval}", {name: round(value, 3) for name, value in row.items()}, flush=True)
    document = {
        "steps": STEPS,
        "images": len(prompts),
        "versions": settings.VERSIONS,
        "rows": result,
    }
    target = RESULTS / "cache-dit.json"
    target.write_text(json.dumps(document, indent=2) + "\n")


def draw(pipe: Any, prompts: list[str]) -> torch.Tensor:
    """Images `[n, 32, 32, 3]` in 0 to 1, each from its own seed."""
    found = []
    for first in range(0, len(prompts), 8):
        part = prompts[first : first + 8]
        generators = [torch.Generator().manual_seed(first + i) for i in range(len(part))]
        output = pipe(
            part,
            num_inference_steps=STEPS,
            guidance_scale=5.0,
            generator=generators,
            output_type="pt",
            **zoo.MODELS["tiny-pixart"],
        )
        found.append(output.images.permute(0, 2, 3, 1).cpu())
    return torch.cat(found)


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean over images, in dB, each at most 60."""
    error = (one - other).square().flatten(1).mean(1).clamp_min(1e-6)
    return float((-10 * error.log10()).mean())


def change(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean absolute difference of a pixel, in 0 to 1."""
    return float((one - other).abs().mean())


if __name__ == "__main__":
    main()
