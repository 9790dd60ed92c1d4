"""Cost of a call without guidance compared with a guided one of the same generation.

    python -m benchmarks run guidance_calls --width 0.1 --latent 32 --batch 8
    python -m benchmarks run guidance_calls --device cuda --batch 1 8

Guided calls and calls with the prompt alone, as many of each, alternate within every generation;
the cost is the ratio of their medians, and of their operators' work. Random weights.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

import accel
from benchmarks.entry import RESULTS
from benchmarks.networks.topologies import sized
from benchmarks.sampler_speed.denoising_loop import Network

CALLS = 9  # The first is a guided one that does not count: it also warms up.
MODES = ["full", *["off", "full"] * (CALLS // 2)]


def measured(network: Network, batch: int, turns: int) -> dict[str, Any]:
    """Seconds and work of the two kinds of call."""
    seconds: dict[str, list[float]] = {"full": [], "off": []}
    with network.accelerated({"guidance": {"mode": MODES}}):
        for turn in range(turns + 1):
            for mode, spent in list(zip(MODES, network.draw(batch), strict=True))[1:]:
                if turn:  # The first generation is for warming up.
                    seconds[mode].append(spent)
        with accel.measuring(network.pipe, macs=True):
            network.draw(batch)
        macs = {r.guidance or "full": r.macs or 0 for r in accel.stats(network.pipe)}
    ratio = median(seconds["off"]) / median(seconds["full"])
    pairs = [a / b for a, b in zip(seconds["off"], seconds["full"], strict=True)]
    low, _, high = quantiles(pairs, n=4, method="inclusive")
    return {
        "off_of_full": round(ratio, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "work": round(macs["off"] / macs["full"], 3),
        "seconds_full": round(median(seconds["full"]), 4),
        "calls": len(seconds["off"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["sdxl", "sd3-medium"])
    parser.add_argument("--width", type=float, default=1.0, help="share of the published one")
    parser.add_argument("--latent", type=int, default=0, help="side of the latents")
    parser.add_argument("--batch", type=int, nargs="+", default=[8])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name in flags.networks:
        made = Network(partial(sized, name, flags.width, flags.latent), CALLS, flags.device)
        for batch in flags.batch:
            row = found[f"{name}, batch {batch}"] = measured(made, batch, flags.turns)
            print(name, batch, row, flush=True)
    kind = "gpu" if flags.device.startswith("cuda") else "cpu"
    result = {"width": flags.width, "latent": flags.latent, "device": kind, "rows": found}
    path = flags.out / f"guidance_calls-{kind}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
