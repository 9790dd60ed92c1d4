"""CAT Pruning's Tables 2 and 3 beside ours.

    python -m benchmarks run papers_cat  # without weights
    python -m benchmarks run papers_cat --model SD3 --prompts PARTI.tsv --images 1632
    python -m benchmarks run papers_cat --model PIXART --network pixart --prompts CAPTIONS.json \
        --coco

With `--model`: the rows of one table (`--table 2` is of 28 steps, 3 of 50) from Stable Diffusion 3
medium or PixArt-Sigma at 1024 x 1024: CLIP score, speedup and multiply-accumulates, on PartiPrompts
or, with `--coco`, on COCO's captions, by `python -m evaluate`. Needs weights that are not part of
this project. Without, multiply-accumulates of whole generations on the full-size shapes, guidance
included. The paper's leave out attention's own matrix products, so ours are given without them;
`share` is of the unaccelerated model's, with them as `counted share`. Speedups without weights:
`sampler_speed/paper_settings.py`.

The paper's AT-EDM is its own combination of AT-EDM's choice of tokens with CAT Pruning's reuse, and
so is ours. Writes `benchmarks/results/papers_cat.json` (`-real` with `--model`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

import strategies
from accel.models.loading import quiet
from benchmarks.papers import common
from benchmarks.papers.common import Entry, cell, entry, published
from benchmarks.work import macs
from strategies import Strategy

TABLES = {
    ("sd3-medium", 28): "Table 2, 28 steps, Stable Diffusion 3",
    ("pixart-sigma", 28): "Table 2, 28 steps, PixArt-Sigma",
    ("sd3-medium", 50): "Table 3, 50 steps, Stable Diffusion 3",
    ("pixart-sigma", 50): "Table 3, 50 steps, PixArt-Sigma",
}
ROWS = {"cat": "Ours", "atedm": "AT-EDM"}
WHY = {
    ("pixart-sigma", "cat"): "the text's keys and values run at every call",
    ("pixart-sigma", "atedm"): "the text's keys and values run at every call",
    ("sd3-medium", "atedm"): "the paper's AT-EDM counts more; how is not said",
}
GUIDANCE = {"mmdit": "7.0", "dit": "4.5"}


def counted(names: Sequence[str] = ("sd3-medium", "pixart-sigma")) -> Iterator[Entry]:
    """Multiply-accumulates, and their share of the unaccelerated model's."""
    for one in (row for name in names for row in macs.pruning(name)):
        place, method = TABLES[one["network"], one["steps"]], one["method"]
        table = published("cat")[place]
        row, source = ROWS.get(method, table["base"]), f"{one['network']}, counted"
        why = WHY.get((one["network"], method), "")
        theirs, ours = cell(table, row, "TMACs"), one["tmacs_without_attention_products"]
        yield entry(place, row, "TMACs", theirs, ours, source, why)
        if method != "whole":
            share = (theirs or 0) / (cell(table, table["base"], "TMACs") or 1)
            yield entry(place, row, "share", share, one["share"], source, "attention's included")


def unscored() -> Iterator[Entry]:
    """Rows that only the real model can fill."""
    for place, table in published("cat").items():
        for row in table["rows"]:
            for data in ("Parti", "COCO"):
                figure = f"{data} CLIP score"
                why = "needs the model: --model"
                yield entry(place, row, figure, cell(table, row, figure), None, "", why)


def pruned_by(method: str, preset: str) -> Strategy:
    """CAT Pruning's preset, or AT-EDM in its place."""
    found = strategies.load(preset)
    if method == "cat":
        return found
    methods = {"atedm": {"alpha": macs.ALPHA, "start": macs.START}}
    return Strategy.create(**(found.to_json() | {"methods": methods}))


def real(flags: Any, rest: Sequence[str]) -> list[Entry]:
    """Rows of one table from the user's model."""
    steps = {2: 28, 3: 50}[flags.table]
    short, name = {"sd3": ("sd3", "sd3-medium"), "pixart": ("pixart", "pixart-sigma")}[
        flags.network
    ]
    preset = f"cat-{short}-{steps}"
    plans = {method: pruned_by(method, preset) for method in ROWS}
    own = plans["cat"]
    protocol = [
        "--metrics",
        "clip-score",
        "--base-scheduler",
        own.scheduler,
        "--base-steps",
        str(steps),
    ]
    protocol += ["--guidance", GUIDANCE[own.family], "--size", "1024"]
    rows = common.real(flags, protocol, rest, plans)
    place = TABLES[name, steps]
    table, data = published("cat")[place], "COCO" if flags.coco else "Parti"
    names = {table["base"]: "", **{row: method for method, row in ROWS.items()}}
    columns = {f"{data} CLIP score": "CLIP score", f"{data} speedup": "speedup"}
    found = common.beside(place, table, names, rows, columns)
    why = "ours with attention's matrix products, the paper's without"
    for row, method in names.items():
        ours = rows[method].get("macs")
        theirs = cell(table, row, "TMACs")
        given = None if ours is None else ours / 1e12
        found.append(entry(place, row, "TMACs", theirs, given, "the real model", why))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, "papers_cat")
    parser.add_argument("--network", choices=("sd3", "pixart"), default="sd3", help="of --model")
    parser.add_argument("--table", type=int, choices=(2, 3), default=2)
    parser.add_argument("--coco", action="store_true", help="the prompts are COCO's captions")
    flags, rest = parser.parse_known_args(arguments)
    quiet()
    torch.set_num_threads(1)
    if flags.model:
        common.finish(flags, "papers_cat", real(flags, rest))
        return
    common.finish(flags, "papers_cat", [*counted(), *unscored()])


if __name__ == "__main__":
    main()
