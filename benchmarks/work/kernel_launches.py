"""Number of operators that compute in a generation: a slow CPU makes a GPU wait for each.

    python -m benchmarks run launches

Every variant of `sampler_speed/unet_methods.py` on Stable Diffusion 1.5 and of
`sampler_speed/transformer_methods.py` on its networks, at full depth, little width and few tokens,
on the CPU: operators that make a tensor with elements or write to one, which takes a kernel or
more; views take none. The solver's are counted, too, and so is guidance. By kind of call the
median. Writes `benchmarks/results/launches.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.networks.topologies import NETWORKS, sized
from benchmarks.sampler_speed import transformer_methods, unet_methods
from benchmarks.sampler_speed.alternating import Variant, Variants, chosen, excusing, fitting
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import Laps
from evaluate.speed.timing import versions

CALLS = 14
SIZES = {"sd15": (0.05, 16), **dict.fromkeys(NETWORKS, (0.07, 8))}  # Share of width, latents.
VARIANTS: Mapping[str, Variants] = {
    "sd15": unet_methods.VARIANTS,
    **dict.fromkeys(NETWORKS, transformer_methods.VARIANTS),
}


class Computed(TorchDispatchMode):
    """Counts operators that make a tensor with elements or write to one; a view is not made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        old = set() if func._schema.is_mutable else set(map(place, tensors((args, kwargs))))
        self.count += any(one.numel() > 0 and place(one) not in old for one in tensors(found))
        return found


def tensors(tree: Any) -> list[torch.Tensor]:
    """All in nested arguments or results."""
    return [one for one in tree_leaves(tree) if isinstance(one, torch.Tensor)]


def place(one: torch.Tensor) -> int:
    """Address of its storage."""
    return int(one.untyped_storage()._cdata)


def counts(net: Network) -> list[int]:
    """Counts of each call of a generation of one image."""
    with Computed() as mode:
        return [int(count) for count in net.read(Laps(lambda: mode.count))]


def rows(net: Network, variants: Variants) -> dict[str, Any]:
    """Every variant's row, in their order; why a package does not run."""
    found: dict[str, list[int]] = {}
    failed: dict[str, str] = {}
    for name, variant in variants.items():
        with excusing(variant, name, failed), variant.setup(net):
            found[name] = counts(net)
    return {
        name: row(variant, found[name], found["unmodified"])
        if name in found
        else {"does not run": failed[name]}
        for name, variant in variants.items()
    }


def row(variant: Variant, found: Sequence[int], plain: Sequence[int]) -> dict[str, Any]:
    """A generation's operators, how many times fewer they are, and those of a call by kind."""
    kinds = {kind: variant.places(kind, len(found)) for kind in variant.kinds}
    calls = {
        kind: int(median(found[place] for place in places))
        for kind, places in kinds.items()
        if places
    }
    return {"operators": sum(found), "reduction": sum(plain) / sum(found), "calls": calls}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--layers", type=int, default=0, help="0 is the network's own number")
    parser.add_argument(
        "--variants", nargs="+", help="only these; the others keep their stored rows"
    )
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    target = RESULTS / "launches.json"
    result: dict[str, Any] = {"calls": CALLS, "versions": versions(), "networks": {}}
    stored: dict[str, Any] = json.loads(target.read_text())["networks"] if flags.variants else {}
    result["networks"] |= stored
    for name in flags.networks:
        width, latent = SIZES[name]
        net = Network(partial(sized, name, width, latent, flags.layers), CALLS, "cpu")
        found = rows(net, fitting(net, chosen(VARIANTS[name], flags.variants)))
        known = stored.get(name, {}) | found
        order = [variant for variant in VARIANTS[name] if variant in known]
        result["networks"][name] = {variant: known[variant] for variant in order}
        print(name, json.dumps(found), flush=True)
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
