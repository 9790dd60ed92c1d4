"""DaTo's Tables 1 to 4 beside ours.

    python -m benchmarks run papers_dato  # without weights
    python -m benchmarks run papers_dato --model SD15 --reference VAL --images 2000
    python -m benchmarks run papers_dato --model SD15 --reference COCO --coco CAPTIONS \
        --images 30000
    python -m benchmarks run papers_dato --xl --model XL --reference COCO --coco CAPTIONS \
        --images 5000

With `--model`: the rows of Tables 1 and 2 whose strategy is published, from Stable Diffusion 1.5
or SDXL and the user's reference, by `python -m evaluate` in the paper's protocol (ImageNet's
prompts, or COCO's captions where `--coco` names them). Needs weights and data that are not part of
this project. Without:

- Speedups of Tables 1 and 2: multiply-accumulates of whole generations on the full-size shapes,
  unaccelerated over accelerated. The paper's are of wall time on a 4090, with attention that is not
  fused, so the ratio of the two is not a reproduction.
- FID of Table 1: FD to real images on tiny-sd, of the same strategies on its solver and steps.
- Tables 3 and 4: the ablations on tiny-sd, as FD without over FD with. The paper's two cache
  settings are not published; ours are Ours-b1's of Table 6, and every fifth call in full.

A row has the published figure, ours, the ratio and what explains it; figures are compared as
quotients where the scales differ, and the row says of what. Writes
`benchmarks/results/papers_dato.json` (`-real` with `--model`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

import strategies
from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.papers import common
from benchmarks.papers.common import PNDM_50, Entry, cell, entry, published, work
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Candidate, Rows
from evaluate import Evaluator
from strategies import Strategy
from strategies.methods.deepcache import DeepCache

SD15 = "Table 1, ImageNet, Stable Diffusion 1.5"
COCO15 = "Table 1, COCO30k, Stable Diffusion 1.5"
XL = "Table 2, COCO 5k, SDXL"
PRESETS: tuple[str, ...]
PRESETS = ("deepcache-n2", "deepcache-n3", "deepcache-n5", "deepcache-n10", "tome-0.3", "tome-0.5")
PRESETS += ("tome-0.7", "deepcache-n5-tome-0.5")
COCO = [*PNDM_50, "--size", "512"]
IMAGENET = [*COCO, "--prompts", "imagenet", "--reference-per-class", "5"]
COCO_XL = ["--metrics", "fid", "--base-scheduler", "EulerDiscreteScheduler", "--base-steps", "50"]
COCO_XL += ["--guidance", "7.0", "--size", "1024"]
TIME = "multiply-accumulates; the paper's is wall time on a 4090 with unfused attention"
UNKNOWN = "strategy not published"
ABLATIONS = {
    "Table 3, alignment": ("align_cfg", (0.4, 0.5, 0.6, 0.7)),
    "Table 4, DiffScore": ("diff_score", (0.3, 0.4, 0.5, 0.6, 0.7)),
}


def b1() -> Strategy:
    """Ours-b1, the one strategy that the paper prints (Table 6)."""
    return strategies.load("dato-b1")


def ten_steps() -> Strategy:
    return common.plain(b1(), 10, "DDIMScheduler")


def counted(presets: Sequence[str] = PRESETS, **size: Any) -> Iterator[Entry]:
    """Table 1's speedups by multiply-accumulates.

    Args:
        presets: that a row without a published setting is held against.
        size: size of the network, if it is not the full one.
    """
    whole = work("sd15", common.plain(b1()), **size)
    few = ("DDIM (10 steps)", "DDIM (10 Steps)", "DPM (10 Steps)")  # Of any network alike.
    known = {"Ours-b1": b1()} | dict.fromkeys(few, ten_steps())
    speedups = {name: whole / work("sd15", plan, **size) for name, plan in known.items()}
    near = {name: whole / work("sd15", strategies.load(name), **size) for name in presets}
    for place, table in published("dato").items():
        for row in table["rows"] if place.startswith("Table 1") else ():
            theirs = cell(table, row, "speedup")
            if row == table["base"] or theirs is None:
                continue
            if row in speedups:
                yield entry(place, row, "speedup", theirs, speedups[row], "sd15, MACs", TIME)
            else:
                alike = near if place in (SD15, COCO15) else {}
                yield entry(place, row, "speedup", theirs, None, "", _nearest(row, theirs, alike))


def _nearest(row: str, theirs: float, near: Mapping[str, float]) -> str:
    """Why a row without a published setting has no figure of ours, and what comes near."""
    kind = {"DeepCache&": "deepcache-n5-tome", "DeepCache-": "deepcache-n", "ToMeSD": "tome-"}
    start = next((start for name, start in kind.items() if row.startswith(name)), None)
    alike = {
        name: value
        for name, value in near.items()
        if start is not None and name.startswith(start) and ("&" in row or "-tome" not in name)
    }
    if not alike:
        return UNKNOWN
    one = min(alike, key=lambda name: abs(math.log(alike[name] / theirs)))
    return f"setting not published; nearest preset of the kind by MACs: {one}, {alike[one]:.2f}x"


def counted_xl(**size: Any) -> Iterator[Entry]:
    """Table 2's speedups."""
    moved = b1().resample(steps=50, scheduler="EulerDiscreteScheduler")
    whole = work("sdxl", common.plain(moved), **size)
    table = published("dato")[XL]
    why = f"Ours-b1 on 50 Euler steps, as the paper's own is not published; {TIME}"
    theirs, ours = cell(table, "Ours", "speedup"), whole / work("sdxl", moved, **size)
    yield entry(XL, "Ours", "speedup", theirs, ours, "sdxl, MACs", why)
    for row in ("DeepCache", "DeepCache&TomeSD"):
        yield entry(XL, row, "speedup", cell(table, row, "speedup"), None, "", UNKNOWN)


def ablated(plain: Strategy, ratios: Sequence[float] | None = None) -> dict[str, Candidate]:
    """Strategies of Tables 1, 3 and 4 on a bundled model's solver and steps, by name.

    Args:
        ratios: only these; by default all of the tables.
    """
    calls = plain.calls
    moved = b1().resample(calls, plain.steps, plain.scheduler)
    settings = {
        "setting 1": moved.methods["deepcache"],
        "setting 2": DeepCache.uniform(calls, 5),
    }
    found = {BASELINE: Candidate(BASELINE, plain), "Ours-b1": Candidate("Table 1", moved)}
    steps = max(2, round(plain.steps * 10 / 50))
    found["DDIM (10 steps)"] = Candidate("Table 1", common.plain(plain, steps))
    for setting, depths in settings.items():
        for knob, rows in ABLATIONS.values():
            for ratio in rows:
                if ratios is not None and ratio not in ratios:
                    continue
                for on in (True, False):
                    dato: dict[str, Any] = {"ratio": ratio} | ({} if on else {knob: False})
                    name = f"{setting}, {ratio}, {'all' if on else f'without {knob}'}"
                    methods = {"deepcache": depths, "dato": dato}
                    fields = plain.to_json() | {"methods": methods}
                    found[name] = Candidate(setting, Strategy.create(**fields))
    return found


def on_tiny_sd(rows: Rows) -> Iterator[Entry]:
    """Entries of what was measured on tiny-sd."""
    tables = published("dato")
    table, base = tables[SD15], rows[BASELINE]
    for name in ("Ours-b1", "DDIM (10 steps)"):
        theirs = (cell(table, name, "FID") or 0) / (cell(table, table["base"], "FID") or 1)
        ours = rows[name]["fd_real"] / base["fd_real"]
        why = f"FD, a small model at {rows[name]['steps']} of its {base['steps']} DDIM steps"
        figure = "FID over the unaccelerated model's"
        yield entry(SD15, name, figure, theirs, ours, "tiny-sd", why)
    for place, (knob, ratios) in ABLATIONS.items():
        table = tables[place]
        for setting in ("setting 1", "setting 2"):
            for ratio in ratios:
                mine = [f"{setting}, {ratio}, {kind}" for kind in ("all", f"without {knob}")]
                if mine[0] not in rows:
                    continue
                with_it, without = (
                    cell(table, str(ratio), f"{setting} {kind}") or 1
                    for kind in ("with", "without")
                )
                for key, words in (("fd_real", "real images"), ("fd_base", "the unaccelerated")):
                    ours = rows[mine[1]][key] / rows[mine[0]][key]
                    yield entry(
                        place, f"{ratio}, {setting}", "FID without over with", without / with_it,
                        ours, "tiny-sd", f"FD to {words}; the paper's cache settings are unknown",
                    )  # fmt: skip


def real(flags: Any, rest: Sequence[str]) -> list[Entry]:
    """Rows from the user's model."""
    tables, plans = published("dato"), {"Ours-b1": b1(), "DDIM": ten_steps()}
    if flags.xl:
        moved = b1().resample(steps=50, scheduler="EulerDiscreteScheduler")
        given = [*COCO_XL, *(["--prompts", flags.coco] if flags.coco else [])]
        rows = common.real(flags, given, rest, {"Ours": moved})
        return common.beside(XL, tables[XL], {"Original SDXL": "", "Ours": "Ours"}, rows)
    place = COCO15 if flags.coco else SD15
    protocol = [*COCO, "--prompts", flags.coco] if flags.coco else IMAGENET
    rows = common.real(flags, protocol, rest, plans)
    names = {"Original SD": "", "Ours-b1": "Ours-b1"}
    names |= {"DDIM (10 steps)": "DDIM", "DDIM (10 Steps)": "DDIM"}
    return common.beside(place, tables[place], names, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.parser(__doc__, "papers_dato")
    parser.add_argument("--coco", help="COCO's captions (.json), instead of ImageNet's prompts")
    parser.add_argument("--xl", action="store_true", help="the model is SDXL (Table 2)")
    flags, rest = parser.parse_known_args(arguments)
    quiet()
    torch.set_num_threads(1)
    if flags.model:
        common.finish(flags, "papers_dato", real(flags, rest))
        return
    flags.images = flags.images or 16
    evaluator = Evaluator(read_model("tiny-sd"), flags.device)
    chosen = ablated(evaluator.unaccelerated)
    rows, _ = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, flags.cache)
    entries = [*counted(), *counted_xl(), *on_tiny_sd(rows)]
    common.finish(flags, "papers_dato", entries, rows, model="tiny-sd")


if __name__ == "__main__":
    main()
