"""CA-ToMe's Tables I, III and IV, with the checkpoints of Table II, beside ours.

    python -m benchmarks run papers_catome                      # without weights
    python -m benchmarks run papers_catome --model SD15 --reference VAL --images 2000

With `--model`: every row, from Stable Diffusion 1.5 and ImageNet's validation images, by `python -m
evaluate` in the paper's protocol (50 PLMS steps, guidance 7.5, two images of each class, the first
five validation images of each class). Needs weights and data that are not part of this project.
Without:

- A bound on the speedups of all tables: multiply-accumulates at full size where every source is
  merged, which is the most that a threshold can do, and with pairs computed at the checkpoints
  alone. How many pairs really pass a threshold depends on the weights. The paper's are of wall time
  on a V100.
- Quality on tiny-sd with 50 PNDM steps (51 calls, as PLMS makes), so that checkpoints are the
  paper's own: FD to real images over the unaccelerated model's, beside FID's. Latency there is of
  a grid of 32 x 32 tokens, where merging costs about what it saves.

PSNR and SSIM of the paper are to real images of the same class, ours (`measured`) to the
unaccelerated image, so they are not put beside each other. Writes
`benchmarks/results/papers_catome.json` (`-real` with `--model`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

import strategies
from accel import families
from accel.models.config import read_model
from accel.models.loading import quiet
from accel.profiling import flop_counter
from accel.tokens.merging import similarity, split_grid
from benchmarks.papers import common
from benchmarks.papers.common import PNDM_50, Entry, cell, entry, network, published, work
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Candidate, Rows
from evaluate import Evaluator
from strategies import Strategy

ONE, THREE, FOUR = "Table I, thresholds", "Table III, checkpoints", "Table IV, final"
THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CONFIGS = {
    "CONF_1": "catome-config-1",
    "CONF_2": "catome-config-2",
    "CONF_3": "catome-config-3",
    "CONF_4": "catome-config-4",
    "CONF_ADAPTIVE": "catome-adaptive",
    "CONF_FIVE": "catome-five",
    "ToMe": "tome-0.5",
}
PROTOCOL = [*PNDM_50, "--size", "512", "--prompts", "imagenet", "--reference-per-class", "5"]
MOST = 0.75  # All sources of cells of 2 x 2.


def plans() -> dict[str, Strategy]:
    """Plans by the table's rows: thresholds with pairs computed at every call, and configs."""
    config = strategies.load("catome-config-3")
    found = {}
    for threshold in THRESHOLDS:
        methods = {"catome": {"threshold": threshold, "checkpoints": "all"}}
        found[str(threshold)] = Strategy.create(**(config.to_json() | {"methods": methods}))
    return found | {row: strategies.load(name) for row, name in CONFIGS.items()}


def matching(latent: int = 64, **size: Any) -> float:
    """Multiply-accumulates of finding pairs at one call, at all attentions of the first level."""
    pipe, _ = network("sd15", latent=latent, **size)
    _, sites = families.find_sites(pipe)
    total = 0
    for site in sites.attentions:
        if site.level == 0:
            attention: Any = site.block.attn1
            width = attention.query_dim
            metric = torch.empty(2, latent * latent, width, device="meta")
            source, destination = split_grid(latent, latent, 2, torch.device("meta"))
            with flop_counter() as counter:
                similarity(metric, source, destination)
            total += counter.get_total_flops() // 2
    return float(total)


def bounds(**size: Any) -> Iterator[Entry]:
    """Speedups by multiply-accumulates where every source is merged."""
    chosen, tables = plans(), published("catome")
    plain = common.plain(chosen["CONF_3"])
    whole, each = work("sd15", plain, **size), matching(**size)
    merged = {"tome": {"ratio": MOST}}
    most = work("sd15", Strategy.create(**(plain.to_json() | {"methods": merged})), **size)
    why = "at most, all sources merged; multiply-accumulates, the paper's is wall time on a V100"
    for place, table in tables.items():
        for row in table["rows"]:
            name = "CONF_3" if row == "Ours" else row
            if row == table["base"]:
                continue
            if name == "ToMe":
                ours, said = whole / work("sd15", chosen[name], **size), "multiply-accumulates"
            else:
                knobs: Any = chosen[name].methods["catome"]
                reused = sum(not knobs.computes(call) for call in range(plain.calls))
                ours, said = whole / (most - reused * each), why
            before, after = (cell(table, one, "latency_s") or 0 for one in (table["base"], row))
            yield entry(place, row, "speedup", before / after, ours, "sd15, MACs", said)


def on_tiny_sd(rows: Rows) -> Iterator[Entry]:
    """Entries of what was measured on tiny-sd."""
    for place, table in published("catome").items():
        base = cell(table, table["base"], "FID") or 1
        for row in table["rows"]:
            name = "CONF_3" if row == "Ours" else row
            if row == table["base"] or name not in rows:
                continue
            theirs = (cell(table, row, "FID") or 0) / base
            ours = rows[name]["fd_real"] / rows[BASELINE]["fd_real"]
            why = "FD over the bundled features; 1024 tokens instead of 4096"
            figure = "FID over the unaccelerated model's"
            yield entry(place, row, figure, theirs, ours, "tiny-sd", why)


def real(flags: Any, rest: Sequence[str]) -> list[Entry]:
    """Rows from the user's model."""
    chosen = plans()
    rows = common.real(flags, PROTOCOL, rest, chosen)
    found = []
    for place, table in published("catome").items():
        names = {row: row for row in chosen} | {table["base"]: "", "Ours": "CONF_3"}
        found += common.beside(place, table, names, rows, {"FID": "FID", "latency_s": "latency_s"})
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    flags, rest = common.parser(__doc__, "papers_catome").parse_known_args(arguments)
    quiet()
    torch.set_num_threads(1)
    if flags.model:
        common.finish(flags, "papers_catome", real(flags, rest))
        return
    flags.images = flags.images or 16
    slow = {"scheduler": "PNDMScheduler", "steps": 50}
    evaluator = Evaluator(read_model("tiny-sd").model_copy(update=slow), flags.device)
    chosen = {BASELINE: Candidate(BASELINE, evaluator.unaccelerated)}
    chosen |= {row: Candidate("Tables I and III", plan) for row, plan in plans().items()}
    rows, _ = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, flags.cache)
    common.finish(flags, "papers_catome", [*bounds(), *on_tiny_sd(rows)], rows, model="tiny-sd")


if __name__ == "__main__":
    main()
