"""Variants on one network: their work, then time and memory of generations in alternating turns.

A turn sets every variant up once, in shuffled order, and draws some generations; ratios are between
the draws of a turn. Times are the GPU's own, or on a CPU the process's.
"""

from __future__ import annotations

import argparse
import gc
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit

from accel import families
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import shuffled
from strategies import registered_methods

Setup = Callable[[Network], Any]
LIMITS = (torch.OutOfMemoryError, FailOnRecompileLimitHit)


@contextmanager
def unmodified(net: Network) -> Iterator[None]:
    """The network as it is."""
    yield


def ours(methods: Callable[[Network], dict[str, Any]]) -> Setup:
    """Our sampler with methods that may depend on the network."""
    return lambda net: net.accelerated(methods(net))


@dataclass(frozen=True)
class Variant:
    """A way to draw.

    Attributes:
        setup: the function that makes, from the network, a context in which the variant acts.
        equal: the package's variant of equal setting.
        package: whether it is somebody else's, which need not run on every network.
        kinds: kinds of call by name, whether a call of so many is of that kind.
        method: method of ours that does not work on all families.
    """

    setup: Setup
    equal: str = ""
    package: bool = False
    kinds: Mapping[str, Callable[[int, int], bool]] = field(default_factory=dict)
    method: str = ""

    def places(self, kind: str, calls: int) -> list[int]:
        """Calls of a kind, without the first."""
        return [call for call in range(1, calls) if self.kinds[kind](call, calls)]


Variants = Mapping[str, Variant]


def chosen(variants: Variants, only: Sequence[str] | None) -> dict[str, Variant]:
    """Those of these names with the unmodified network, or all."""
    return {
        name: variant
        for name, variant in variants.items()
        if only is None or name in only or name == "unmodified"
    }


def fitting(net: Network, variants: Variants) -> dict[str, Variant]:
    """Variants but for methods of ours that do not work on the network's family."""
    family, _ = families.find_sites(net.pipe)
    return {
        name: variant
        for name, variant in variants.items()
        if not variant.method or family in registered_methods()[variant.method].families
    }


@dataclass
class Found:
    """Results of a race, by variant.

    Attributes:
        laps: seconds of each call, of each generation that counts.
        peaks: bytes allocated at most in a generation, on a GPU.
        graphs: number of graphs with `--compile`, and the breaks between them.
        failed: why variants do not run.
    """

    laps: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    peaks: dict[str, int] = field(default_factory=dict)
    graphs: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def totals(self, name: str, places: Sequence[int] = ()) -> list[float]:
        """Seconds of each generation, or the median of some of its calls."""
        if not places:
            return [sum(laps) for laps in self.laps[name]]
        return [median(laps[place] for place in places) for laps in self.laps[name]]


@contextmanager
def excusing(variant: Variant, name: str, failed: dict[str, str]) -> Iterator[None]:
    """Note why a package does not run; of ours only that memory or graphs do not suffice."""
    try:
        yield
    except Exception as error:
        if not variant.package and (name == "unmodified" or not isinstance(error, LIMITS)):
            raise
        failed[name] = f"{type(error).__name__}: {str(error)[:200]}"


def works(net: Network, variants: Variants) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Multiply-accumulates of every variant's calls, and why some packages do not run."""
    found: dict[str, list[int]] = {}
    failed: dict[str, str] = {}
    for name, variant in variants.items():
        with excusing(variant, name, failed), variant.setup(net):
            found[name] = net.work()
    return found, failed


def race(net: Network, variants: Variants, batch: int, flags: argparse.Namespace) -> Found:
    """Draw in turns; the first is for warming up. Of batches there are half as many, at least 2."""
    found = Found()
    turns = flags.turns if batch == 1 else max(2, flags.turns // 2)
    for turn, name in shuffled(list(variants), turns):
        if name in found.failed:
            continue
        variant = variants[name]
        with excusing(variant, name, found.failed), variant.setup(net):
            drawn = [measured(net, batch) for _ in range(flags.draws if turn else 1)]
            if turn:
                found.laps[name] += [laps for laps, _ in drawn]
                found.peaks[name] = max(found.peaks.get(name, 0), *(peak for _, peak in drawn))
    for name in found.failed:
        found.laps.pop(name, None)
    return found


def measured(net: Network, batch: int) -> tuple[list[float], int]:
    """Seconds of each call of a generation, and the bytes it allocated at most on a GPU."""
    if net.pipe.device.type != "cuda":
        return net.draw(batch), 0
    gc.collect()  # What the variant before kept in cycles is not this one's.
    torch.cuda.reset_peak_memory_stats()
    return net.draw(batch), torch.cuda.max_memory_allocated()


def synchronisations(net: Network, variants: Variants) -> dict[str, int]:
    """Warnings of torch's synchronisation check in a generation of each variant, on a GPU."""
    counts = {}
    for name, variant in variants.items():
        with variant.setup(net), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                net.draw()
            finally:
                torch.cuda.set_sync_debug_mode("default")
            counts[name] = sum("synchroniz" in str(w.message) for w in caught)
    return counts
