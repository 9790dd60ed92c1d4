"""Rows of a race: speed, realised savings and memory; the flags and the file of a comparison."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import diffusers
import torch

from accel.models.loading import default_device
from benchmarks.entry import RESULTS
from benchmarks.networks.topologies import Built
from benchmarks.sampler_speed import isolated
from benchmarks.sampler_speed.alternating import (
    Found,
    Variant,
    Variants,
    chosen,
    fitting,
    race,
    synchronisations,
    works,
)
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import ratios
from evaluate.speed.timing import device_name

Race = Callable[[Variants, int, argparse.Namespace], Found]
Build = Callable[[str], Built]
NOTHING = 1.05  # A reduction too small for a share of it to mean anything.


def rows(
    variants: Variants, found: Found, work: Mapping[str, Sequence[int]], batch: int
) -> dict[str, Any]:
    """Every variant's row, in their order."""
    table: dict[str, Any] = {}
    for name, variant in variants.items():
        if name not in found.laps:
            table[name] = {"does not run": found.failed[name]}
            continue
        seconds = median(found.totals(name))
        row: dict[str, Any] = {"seconds": seconds, "images_per_second": batch / seconds}
        row |= beside(found, name, "unmodified")
        row |= saved(row["speedup"], sum(work["unmodified"]) / sum(work[name]))
        if variant.equal in found.laps:
            row["over_package"] = {"package": variant.equal} | beside(found, name, variant.equal)
        if found.peaks[name]:
            row["peak_bytes"] = found.peaks[name]
        row |= found.graphs.get(name, {})
        kinds = {kind: variant.places(kind, len(work[name])) for kind in variant.kinds}
        row["calls"] = {
            kind: call(variant, found, work, name, places)
            for kind, places in kinds.items()
            if places
        }
        table[name] = row
    return table


def call(
    variant: Variant,
    found: Found,
    work: Mapping[str, Sequence[int]],
    name: str,
    places: Sequence[int],
) -> dict[str, Any]:
    """Calls of one kind beside the same calls of the unmodified network and of the package."""
    share = sum(work[name][i] for i in places) / sum(work["unmodified"][i] for i in places)
    row: dict[str, Any] = {"seconds": median(found.totals(name, places)), "macs_share": share}
    row |= beside(found, name, "unmodified", places)
    row["time_over_macs_share"] = 1 / row["speedup"] / share
    if variant.equal in found.laps:
        row["over_package"] = beside(found, name, variant.equal, places)
    return row


def beside(found: Found, name: str, other: str, places: Sequence[int] = ()) -> dict[str, Any]:
    """Speedup over another variant."""
    speedup, quartiles = ratios(found.totals(other, places), found.totals(name, places))
    return {"speedup": speedup, "quartiles": quartiles}


def saved(speedup: float, reduction: float) -> dict[str, float]:
    """The reduction of work, and which share of the work saved is time saved."""
    row = {"macs_reduction": reduction}
    if reduction > NOTHING:
        row["realised"] = (1 - 1 / speedup) / (1 - 1 / reduction)
    return row


def tables(
    net: Network, variants: Variants, flags: argparse.Namespace, run: Race
) -> Iterator[dict[str, Any]]:
    """Parts of a network's result: on a GPU how often variants wait for it, then batch by batch.

    Args:
        run: the function that measures variants, given the size of a batch and the flags.
    """
    work, failed = works(net, variants)
    running = {name: variant for name, variant in variants.items() if name not in failed}
    if net.pipe.device.type == "cuda" and not flags.compile:
        yield {"synchronisations": synchronisations(net, running)}
    for batch in flags.batches:
        found = run(running, batch, flags)
        found.failed |= failed
        yield {f"batch_{batch}": rows(variants, found, work, batch)}


def parser(about: str | None, variants: Variants, calls: int) -> argparse.ArgumentParser:
    """The flags of every race."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--width", type=float, default=1.0, help="share of the published width")
    made.add_argument("--latent", type=int, default=0, help="0 is the network's own")
    made.add_argument("--calls", type=int, default=calls, help="of a generation")
    made.add_argument(
        "--batches", type=int, nargs="+", help="1 and 8 on a GPU, else and with --compile 1"
    )
    made.add_argument(
        "--turns", type=int, help="9, or 3 with --compile; not compiled, half as many of batches"
    )
    made.add_argument("--draws", type=int, help="of a turn: 1, or 3 with --compile")
    made.add_argument("--device", default=default_device())
    made.add_argument("--compile", action="store_true")
    made.add_argument("--patience", type=float, default=1800, help="seconds of compiling each")
    made.add_argument("--only", nargs="+", choices=variants, metavar="VARIANT")
    return made


def completed(flags: argparse.Namespace) -> argparse.Namespace:
    """The flags with what they are by default on this device."""
    on_gpu = flags.device.startswith("cuda")
    flags.batches = flags.batches or ([1, 8] if on_gpu and not flags.compile else [1])
    flags.turns = flags.turns or (3 if flags.compile else 9)
    flags.draws = flags.draws or (3 if flags.compile else 1)
    return flags


def compare(script: str, variants: Variants, flags: argparse.Namespace, build: Build) -> None:
    """Every network of the flags, each into `results/SCRIPT-NETWORK-DEVICE.json`.

    Args:
        script: module that holds the variants.
        build: makes the network of a name.
    """
    for name in flags.networks:
        make = partial(build, name)
        net = Network(make, flags.calls, flags.device)
        runner = partial(isolated.race, script, make) if flags.compile else partial(race, net)
        result = heading(net, flags) | {"network": name}
        for part in tables(net, fitting(net, chosen(variants, flags.only)), flags, runner):
            result |= part
            write(f"{script}-{name}", flags, result)


def heading(net: Network, flags: argparse.Namespace) -> dict[str, Any]:
    """First lines of a result."""
    return {
        "device": device_name(net.pipe),
        "settings": vars(flags).copy(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def write(name: str, flags: argparse.Namespace, result: dict[str, Any]) -> None:
    """Into the file of this device."""
    kind = "gpu" if flags.device.startswith("cuda") else "cpu"
    target = RESULTS / f"{name}-{kind}{'-compiled' if flags.compile else ''}.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(target)
