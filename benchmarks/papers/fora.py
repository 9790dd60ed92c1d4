"""FORA's Tables 1 to 3 beside ours.

    python -m benchmarks run papers_fora  # without weights
    python -m benchmarks run papers_fora --model DIT --reference VAL --images 50000
    python -m benchmarks run papers_fora --model PIXART --reference COCO --coco CAPTIONS \
        --images 30000

With `--model`: Table 1 from DiT-XL/2 at 256 x 256 (250 DDIM steps, guidance 1.5, the classes of
ImageNet) or, where `--coco` names COCO's captions, Table 2 from PixArt-alpha at 256 x 256 (guidance
4.5, 20 steps of DPM-Solver; `--base-scheduler DDPMScheduler --base-steps 100` for IDDPM), by
`python -m evaluate`.
Needs weights and data that are not part of this project. Without:

- Speedups of Tables 1 and 2: multiply-accumulates of whole generations on the full-size shapes,
  guidance included. The paper's are of time on an A100. The row also says what the speedup would
  be if a reused call took no time, which no implementation of the paper's rule can exceed.
- Table 3's computations and the share that is recomputed, counted in our schedules.
- Table 1's FID: FD to real images on tiny-pixart at 25 DDIM steps, N by N, over the unaccelerated
  model's. With a tenth of the steps the same N reuses over a tenfold longer stretch.

Writes `benchmarks/results/papers_fora.json` (`-real` with `--model`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.papers import common
from benchmarks.papers.common import Entry, cell, entry, published, work
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Candidate, Rows
from evaluate import Evaluator
from strategies import Strategy
from strategies.methods.fora import FORA

ONE = "Table 1, DiT-XL/2-G, ImageNet 256, 250 DDIM steps"
TWO = {
    "Table 2, PixArt-alpha, COCO 256, DPM-Solver, 20 steps": ("DPMSolverMultistepScheduler", 20),
    "Table 2, PixArt-alpha, COCO 256, IDDPM, 100 steps": ("DDPMScheduler", 100),
}
THREE = "Table 3, DiT-XL/2, ImageNet 256"
INTERVALS = (2, 3, 5, 7, 10)
LAYERS = 28
CLASSES = [
    "--metrics",
    "fid,sfid,is,precision,recall",
    "--base-scheduler",
    "DDIMScheduler",
    "--base-steps",
]
CLASSES += ["250", "--guidance", "1.5", "--size", "256", "--prompts", "imagenet"]
CAPTIONS = [
    "--metrics",
    "fid,clip-fid",
    "--base-scheduler",
    "DPMSolverMultistepScheduler",
    "--base-steps",
]
CAPTIONS += ["20", "--guidance", "4.5", "--size", "256"]


def plan(steps: int, interval: int, solver: str = "DDIMScheduler") -> Strategy:
    """FORA's rule; 1 reuses nothing."""
    methods = {"fora": FORA.published(steps, interval)}
    return Strategy.create(
        family="dit", scheduler=solver, steps=steps, calls=steps, methods=methods
    )


def computed(one: Strategy) -> int:
    """Calls that compute attention and feed-forward."""
    rule = one.methods.get("fora")
    return sum(one is True for one in rule.attn) if isinstance(rule, FORA) else one.calls


def counted(**size: Any) -> Iterator[Entry]:
    """Speedups of Tables 1 and 2 by multiply-accumulates, and Table 3's counts."""
    tables = published("fora")
    rows = [(ONE, f"N = {n}", "dit-xl-2", 250, n) for n in INTERVALS]
    rows += [(place, "N = 2", "pixart-alpha", steps, 2) for place, (_, steps) in TWO.items()]
    for place, row, name, steps, interval in rows:
        mine, theirs = plan(steps, interval), cell(tables[place], row, "speedup")
        ours = work(name, plan(steps, 1), **size) / work(name, mine, **size)
        free = steps / computed(mine)
        why = f"multiply-accumulates, the paper's is time; {free:.2f}x if reused calls took none"
        yield entry(place, row, "speedup", theirs, ours, f"{name}, MACs", why)
    table = tables[THREE]
    for row in table["rows"]:
        steps, interval = (int(part.split()[-1]) for part in row.replace(" steps", "").split(","))
        mine = plan(steps, interval)
        share = 100 * computed(mine) / steps
        first = "the first call is computed as well"
        for column, ours in (("recomputed %", share), ("computations", float(LAYERS * steps))):
            why = first if column == "recomputed %" else "28 blocks, steps"
            yield entry(THREE, row, column, cell(table, row, column), ours, "counted", why)


def chosen_for(plain: Strategy, intervals: Sequence[int] = INTERVALS) -> dict[str, Candidate]:
    """FORA's intervals on a bundled model's own steps."""
    found = {BASELINE: Candidate(BASELINE, plain)}
    for n in intervals:
        found[f"N = {n}"] = Candidate("fora", plan(plain.steps, n, plain.scheduler))
    return found


def on_tiny_pixart(rows: Rows) -> Iterator[Entry]:
    """Entries of what was measured on tiny-pixart."""
    table, base = published("fora")[ONE], rows[BASELINE]
    for name, row in rows.items():
        if name != BASELINE:
            worse = (cell(table, name, "FID") or 0) / (cell(table, table["base"], "FID") or 1)
            ours = row["fd_real"] / base["fd_real"]
            why = f"FD; {base['steps']} steps instead of 250"
            figure = "FID over the unaccelerated model's"
            yield entry(ONE, name, figure, worse, ours, "tiny-pixart", why)
            if "speedup" in row:
                why = "wall time on a CPU of a small model; the paper's on an A100"
                theirs = cell(table, name, "speedup")
                yield entry(ONE, name, "speedup", theirs, row["speedup"], "tiny-pixart", why)


def real(flags: Any, rest: Sequence[str]) -> list[Entry]:
    """Rows from the user's model."""
    tables = published("fora")
    if not flags.coco:
        plans = {f"N = {n}": plan(250, n) for n in INTERVALS}
        rows = common.real(flags, CLASSES, rest, plans)
        return common.beside(
            ONE, tables[ONE], {n: n for n in plans} | {tables[ONE]["base"]: ""}, rows
        )
    given = [*CAPTIONS, "--prompts", flags.coco]
    rows = common.real(flags, given, rest, {"N = 2": plan(20, 2, "DPMSolverMultistepScheduler")})
    solver = rows[""]["scheduler"]
    place = next((p for p, (name, _) in TWO.items() if name == solver), next(iter(TWO)))
    names = {"PIXART-alpha@": "", "N = 2": "N = 2"}
    return common.beside(place, tables[place], names, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, "papers_fora")
    parser.add_argument(
        "--coco", help="COCO's captions (.json): Table 2, the model is PixArt-alpha"
    )
    flags, rest = parser.parse_known_args(arguments)
    quiet()
    torch.set_num_threads(1)
    if flags.model:
        common.finish(flags, "papers_fora", real(flags, rest))
        return
    flags.images = flags.images or 16
    evaluator = Evaluator(read_model("tiny-pixart"), flags.device)
    chosen = chosen_for(evaluator.unaccelerated)
    rows, _ = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, flags.cache)
    entries = [*counted(), *on_tiny_pixart(rows)]
    common.finish(flags, "papers_fora", entries, rows, model="tiny-pixart")


if __name__ == "__main__":
    main()
