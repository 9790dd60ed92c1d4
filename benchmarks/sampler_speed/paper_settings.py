"""Speedups of the papers' published settings at full size on a GPU, beside the papers' own.

    python -m benchmarks run papers_speed                                  # a GPU: full size, fp16
    python -m benchmarks run papers_speed --width 0.1 --latent 16 --layers 2        # a CPU: smaller

DaTo's Ours-b1 and ten steps, and CA-ToMe's row of ToMe, on Stable Diffusion 1.5; Ours-b1 moved to
SDXL; CAT Pruning and its AT-EDM on Stable Diffusion 3 and PixArt-Sigma; FORA on DiT-XL/2 and
PixArt-alpha. Random weights, the denoiser's loop with guidance alone. Every kind of call is timed
in turns with the unaccelerated network, and a generation takes what its calls take; so a
generation of 250 calls needs no 250. Settings whose time depends on the weights (CA-ToMe's
thresholds) are not here. Writes `benchmarks/results/papers_speed.json`.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch

import strategies
from accel.models.loading import quiet
from benchmarks.networks.topologies import Built, pixart_alpha, sized
from benchmarks.papers import cat, common, dato, fora
from benchmarks.papers.common import Entry, cell, entry, published
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.timing import shuffled
from strategies import Strategy

WHY = "random weights, the denoiser alone"
ALPHA_HEADS = 16


@dataclass(frozen=True)
class Setting:
    """A row of a paper.

    Attributes:
        network: see `networks/topologies.py`.
        row: the paper's name of it.
        places: the paper, its table and the column, of every published figure.
        plan: what it is.
        calls: calls of the unaccelerated model; by default the same number.
    """

    network: str
    row: str
    places: tuple[tuple[str, str, str], ...]
    plan: Strategy
    calls: int = 0


def settings() -> Iterator[Setting]:
    """Everything that is published and whose time does not depend on the weights."""
    b1 = dato.b1()
    classes, captions = (("dato", place, "speedup") for place in (dato.SD15, dato.COCO15))
    yield Setting("sd15", "Ours-b1", (classes,), b1)
    few = dato.ten_steps()
    yield Setting("sd15", "DDIM (10 steps)", (classes,), few, b1.calls)
    yield Setting("sd15", "DDIM (10 Steps)", (captions,), few, b1.calls)
    merged = ("catome", "Table III, checkpoints", "latency_s")
    yield Setting("sd15", "ToMe", (merged,), strategies.load("tome-0.5"))
    moved = b1.resample(steps=50, scheduler="EulerDiscreteScheduler")
    yield Setting("sdxl", "Ours", (("dato", dato.XL, "speedup"),), moved)
    for (name, steps), place in cat.TABLES.items():
        columns = [("cat", place, f"{data} speedup") for data in ("Parti", "COCO")]
        for method, row in cat.ROWS.items():
            plan = cat.pruned_by(method, f"cat-{name.split('-')[0]}-{steps}")
            yield Setting(name, row, tuple(columns), plan)
    for n in fora.INTERVALS:
        one = ("fora", fora.ONE, "speedup")
        yield Setting("dit-xl-2", f"N = {n}", (one,), fora.plan(250, n))
    for where, (_, steps) in fora.TWO.items():
        two = ("fora", where, "speedup")
        yield Setting("pixart-alpha", "N = 2", (two,), fora.plan(steps, 2))


def build(name: str, flags: argparse.Namespace) -> Built:
    """A network at full size, or smaller where the flags say so."""
    if name != "pixart-alpha":
        return sized(name, flags.width, flags.latent, flags.layers)
    size = {"layers": flags.layers, "latent": flags.latent}
    heads = max(1, round(ALPHA_HEADS * flags.width))
    return pixart_alpha(heads, **{key: value for key, value in size.items() if value})


@dataclass(frozen=True)
class Short:
    """Two calls of each kind of a strategy, of which the second counts, and one on either side.

    The first of a kind may do what the others do not, such as CAT Pruning's clusters, and so may
    the first and the last call of a generation.

    Attributes:
        methods: methods of these calls.
        kinds: kinds in the order of these calls.
        counts: how many calls of each kind the whole strategy makes.
    """

    methods: dict[str, Any]
    kinds: tuple[str, ...]
    counts: Counter[str]

    @classmethod
    def of(cls, plan: Strategy) -> Short:
        """From the whole."""
        kinds = plan.kinds()
        chosen = tuple(dict.fromkeys(kinds))
        places = [kinds.index(kind) for kind in chosen]
        places = [0, *(place for one in places for place in (one, one)), places[-1]]
        methods = {name: knobs.take(places) for name, knobs in plan.canonical().methods.items()}
        return cls(methods, chosen, Counter(kinds))

    @property
    def calls(self) -> int:
        """Number of these calls."""
        return 2 * len(self.kinds) + 2

    def total(self, laps: Sequence[float]) -> float:
        """Seconds of the whole from those of these calls."""
        each = dict(zip(self.kinds, laps[2::2], strict=False))
        return sum(each[kind] * count for kind, count in self.counts.items())


def measured(net: Network, rows: Sequence[Setting], turns: int) -> list[float]:
    """The speedup of each setting: the median over turns."""
    shorts = {str(i): Short.of(one.plan) for i, one in enumerate(rows)}
    times: dict[str, list[float]] = defaultdict(list)
    for turn, name in shuffled(["", *shorts], turns):
        short = shorts.get(name)
        net.calls = short.calls if short else 4
        with net.accelerated(short.methods) if short else nullcontext():
            laps = net.draw()
        if turn:
            times[name].append(short.total(laps) if short else median(laps[1:]))
    found = []
    for name, one in zip(shorts, rows, strict=True):
        calls = one.calls or one.plan.calls
        pairs = zip(times[""], times[name], strict=True)
        found.append(median(plain * calls / mine for plain, mine in pairs))
    return found


def beside(one: Setting, ours: float, device: str) -> Iterator[Entry]:
    """The paper's figure and ours."""
    for paper, place, column in one.places:
        table = published(paper)[place]
        theirs = cell(table, one.row, column)
        if column == "latency_s":
            theirs = (cell(table, table["base"], column) or 0) / (theirs or 1)
            column = "speedup"
        yield entry(place, one.row, column, theirs, ours, f"{one.network}, {device}", WHY)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, "papers_speed")
    parser.set_defaults(repeats=5)
    parser.add_argument("--width", type=float, default=1.0, help="share of the published width")
    parser.add_argument("--latent", type=int, default=0, help="0 is the network's own")
    parser.add_argument("--layers", type=int, default=0, help="of transformers; 0 is all")
    parser.add_argument("--networks", nargs="+", help="only these")
    flags = parser.parse_args(arguments)
    if flags.model:
        parser.error("speedups of the real model are among those of papers_dato, papers_cat, ...")
    quiet()
    torch.set_num_threads(1)
    on_gpu = flags.device.startswith("cuda")
    where = torch.cuda.get_device_name() if on_gpu else "a CPU"
    whole = flags.width == 1 and not flags.latent and not flags.layers
    device = where if whole else f"a smaller network on {where}"
    entries: list[Entry] = []
    known = list(settings())
    for name in dict.fromkeys(one.network for one in known):
        if flags.networks and name not in flags.networks:
            continue
        rows = [one for one in known if one.network == name]
        net = Network(partial(build, name, flags), 4, flags.device)
        for one, ours in zip(rows, measured(net, rows, max(2, flags.repeats)), strict=True):
            entries += beside(one, ours, device)
        del net
    common.finish(flags, "papers_speed", entries, width=flags.width)


if __name__ == "__main__":
    main()
