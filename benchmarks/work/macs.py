"""Multiply-accumulates of the published settings at full size, beside the papers' tables.

    python -m benchmarks run macs

Networks of the real shapes without weights (torch's meta device), each kind of call counted by
torch's FlopCounterMode, guidance included, and added up over a generation: CAT Pruning's Tables 2
and 3 (Stable Diffusion 3 medium and PixArt-Sigma, 1024 x 1024, 28 and 50 steps, alpha 0.3, t0
of 8) with AT-EDM's row, and FORA's intervals on DiT-XL/2. Writes `benchmarks/results/macs.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import torch

import accel
from benchmarks.entry import RESULTS
from benchmarks.networks.parts import Bare
from benchmarks.networks.topologies import NETWORKS, OTHERS, strategy
from strategies import Strategy
from strategies.methods.fora import FORA

# Trillions, for all steps: whole, CAT, AT-EDM (CAT Pruning, Tables 2 and 3). They are the counts
# without attention's own matrix products, so both counts are given.
PAPER = {
    ("sd3-medium", 28): (168.28, 90.28, 93.48),
    ("sd3-medium", 50): (300.50, 136.70, 143.42),
    ("pixart-sigma", 28): (120.68, 60.08, 62.08),
    ("pixart-sigma", 50): (215.40, 88.24, 92.44),
}
ALPHA, START = 0.3, 8
# Layers, width, text tokens that attend with the image's, text tokens that these attend to.
ATTENTION = {"sd3-medium": (24, 1536, 333, 0), "pixart-sigma": (28, 1152, 0, 300)}


def build(name: str, **size: Any) -> tuple[Bare, dict[str, Any]]:
    """One network without weights."""
    with torch.device("meta"):
        return (NETWORKS | OTHERS)[name](**size)


@torch.inference_mode()
def by_call(pipe: Bare, given: dict[str, Any], plan: Strategy) -> list[int]:
    """Multiply-accumulates of every call, guidance included."""
    config = pipe.denoiser.config
    shape = (1, config.in_channels, config.sample_size, config.sample_size)
    latents = torch.empty(shape, device="meta")
    pipe.scheduler.set_timesteps(plan.calls, device="meta")
    pipe.scheduler.step = lambda *_: None  # It would look times up, and there are no values.
    with accel.accelerated(pipe, plan):
        with accel.measuring(pipe, macs=True):
            for t in pipe.scheduler.timesteps:
                doubled = torch.cat([latents] * 2)
                guess = pipe.denoiser(doubled, timestep=t.expand(2), **given).sample
                pipe.scheduler.step(guess[:1, : shape[1]], t, latents)
        return [record.macs or 0 for record in accel.stats(pipe)]


def count(pipe: Bare, given: dict[str, Any], short: Strategy) -> dict[str, int]:
    """Multiply-accumulates of the last call of each kind, guidance included."""
    return dict(zip(short.kinds(), by_call(pipe, given, short), strict=True))


def total(kinds: dict[str, int], long: Strategy) -> float:
    """Trillions of a whole generation."""
    return sum(kinds[kind] for kind in long.kinds()) / 1e12


def products(name: str, share: float) -> float:
    """Trillions of one call's attention products, queries x keys and weights x values.

    Args:
        share: share of the image's tokens that are queries; all of them are keys.
    """
    layers, width, text, crossed = ATTENTION[name]
    image = 4096
    asking, asked = int(share * image) + text, image + text
    per_layer = 2 * asking * asked + 2 * int(share * image) * crossed
    return 2 * layers * per_layer * width / 1e12


def row(name: str, steps: int, method: str, ours: float, whole: float) -> dict[str, Any]:
    return {
        "network": name,
        "steps": steps,
        "method": method,
        "tmacs": ours,
        "share": ours / whole,
        "reduction": whole / ours,
    }


def pruning(name: str) -> Iterator[dict[str, Any]]:
    """CAT Pruning's and AT-EDM's rows of one network."""
    pipe, given = build(name)
    kinds = {
        method: count(pipe, given, strategy(pipe, 5, {method: {"alpha": ALPHA, "start": 3}}))
        for method in ("cat", "atedm")
    }
    for (network, steps), paper in PAPER.items():
        if network != name:
            continue
        whole = total(kinds["cat"], strategy(pipe, steps, {}))
        for place, method in enumerate(("whole", "cat", "atedm")):
            pruned = {method: {"alpha": ALPHA, "start": START}} if place else {}
            ours = total(kinds[method if place else "cat"], strategy(pipe, steps, pruned))
            partial = steps - START if place else 0
            attention = (steps - partial) * products(name, 1) + partial * products(name, ALPHA)
            published = {
                "tmacs_without_attention_products": ours - attention,
                "paper_tmacs": paper[place],
                "paper_share": paper[place] / paper[0],
            }
            yield row(name, steps, method, ours, whole) | published


def reusing(name: str, steps: int, intervals: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """FORA's intervals on one network."""
    pipe, given = build(name)
    kinds = count(pipe, given, strategy(pipe, 4, {"fora": FORA.published(4, 3)}))
    whole = total(kinds, strategy(pipe, steps, {}))
    for interval in intervals:
        published = strategy(pipe, steps, {"fora": FORA.published(steps, interval)})
        yield row(name, steps, f"fora N={interval}", total(kinds, published), whole)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = [*pruning("sd3-medium"), *pruning("pixart-sigma")]
    rows += reusing("dit-xl-2", 250, (2, 3, 5, 7))
    rows += reusing("sd3-medium", 28, (2, 3, 5))
    target = RESULTS / "macs.json"
    target.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")
    for one in rows:
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in one.items()})


if __name__ == "__main__":
    main()
