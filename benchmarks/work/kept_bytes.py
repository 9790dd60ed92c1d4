"""Bytes that a method keeps from one call to the next, at full size in half precision.

    python -m benchmarks run kept

Each network runs at little width and with few tokens, but with all its blocks. Tensors that are
alive between two calls, and are not without the method, are kept. Their sizes are known numbers of
tokens and channels, which are replaced by those of the full size. cache-dit is compared at the same
calls. So are the most bytes of tensors alive at once in a generation, at the small size. Writes
`benchmarks/results/kept.json`.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections import Counter
from functools import partial
from math import prod
from typing import Any

import torch

from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.networks.topologies import FEWER_TOKENS, sized
from benchmarks.sampler_speed.alternating import Variants, excusing
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.transformer_methods import VARIANTS, deltacache, fora
from evaluate.speed.peak_memory import LiveTensorBytes
from evaluate.speed.timing import versions
from strategies.data_files.whole import write

CALLS = 6
LATENT, TOKENS = 12, 36  # Small: side of the latents, and the image's tokens.
HALF = 2  # Bytes of a value.
IMAGE = 4096  # Full: the image's tokens.
# Channels of a head, heads and tokens of the text at full size; the share that leaves one head.
FULL = {"flux1": (128, 24, 512, 0.04), "sd3-medium": (64, 24, 333, 0.04)}
CHOSEN: Variants = {
    "fora N=3": fora(3),
    "fora N=3, order 1": fora(3, order=1),
    "deltacache N=3, depth 0": deltacache(3, 0),
    "deltacache N=3, depth 1": deltacache(3, 1),
    "cache-dit, calls of fora N=3": VARIANTS["cache-dit, calls of fora N=3"],
}


class Alive:
    """Shapes of all tensors that are alive after each call, one for each storage."""

    def __init__(self) -> None:
        self.found: list[Counter[tuple[int, ...]]] = []

    def mark(self) -> None:
        """Count."""
        gc.collect()
        tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor and one.ndim > 1]
        once = {one.untyped_storage()._cdata: one for one in tensors}
        self.found.append(Counter(tuple(one.shape) for one in once.values()))

    def between(self) -> list[float]:
        """Nothing: only the counts are wanted."""
        return []


class Silent:
    """Marks nothing."""

    def mark(self) -> None:
        """Do nothing."""

    def between(self) -> list[float]:
        """Nothing."""
        return []


def peak(net: Network) -> int:
    """Most bytes of a generation's tensors that are alive at once."""
    silent: Any = Silent()
    with LiveTensorBytes() as live:
        net.read(silent)
    most: int = live.peak
    return most


def alive(net: Network) -> list[Counter[tuple[int, ...]]]:
    """Counts after each call of a generation."""
    found: Any = Alive()
    net.read(found)
    return list(found.found[1:])


def full_size(shape: tuple[int, ...], name: str) -> int:
    """Bytes of a tensor of the full size that has this shape at the small one."""
    head, heads, text, _ = FULL[name]
    sizes = {
        TOKENS: IMAGE,
        FEWER_TOKENS: text,
        TOKENS + FEWER_TOKENS: IMAGE + text,
        head: head * heads,
    }
    return HALF * prod(sizes.get(size, size) for size in shape)


def kept(net: Network, name: str, variants: Variants) -> dict[str, Any]:
    """Most bytes that each method keeps after a call."""
    plain, failed, rows = alive(net), dict[str, str](), dict[str, Any]()
    least = peak(net)
    for label, variant in variants.items():
        with excusing(variant, label, failed), variant.setup(net):
            more = [now - before for now, before in zip(alive(net), plain, strict=True)]
            sizes = [sum(full_size(s, name) * n for s, n in one.items()) for one in more]
            most = max(range(len(sizes)), key=lambda call: sizes[call])
            rows[label] = {"bytes": sizes[most], "tensors": sum(more[most].values())}
            rows[label]["peak"] = peak(net) / least
            rows[label]["shapes"] = {str(shape): n for shape, n in more[most].items()}
    return rows | {label: {"does not run": why} for label, why in failed.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=FULL, default=list(FULL))
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"calls": CALLS, "versions": versions(), "networks": {}}
    for name in flags.networks:
        net = Network(partial(sized, name, FULL[name][3], LATENT), CALLS, "cpu")
        result["networks"][name] = kept(net, name, CHOSEN)
        print(name, json.dumps(result["networks"][name]), flush=True)
    write(json.dumps(result, indent=2) + "\n", RESULTS / "kept.json")


if __name__ == "__main__":
    main()
