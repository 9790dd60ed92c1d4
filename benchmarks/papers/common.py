"""Shared by the scripts of the papers' tables: published values, ours, and real models.

Published figures are in `benchmarks/published/`, one file for each paper, as its tables have them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import strategies
from accel.models.loading import default_device
from benchmarks.entry import FOLDER, RESULTS
from benchmarks.work.macs import build, by_call
from evaluate import cli
from evaluate.commands.parsers import score_parser
from evaluate.speed.timing import device_name, versions
from strategies import Strategy

# Flags of `python -m evaluate` for the setting of papers on Stable Diffusion 1.5.
PNDM_50 = ["--metrics", "fid", "--base-scheduler", "PNDMScheduler", "--base-steps", "50"]
PNDM_50 += ["--guidance", "7.5"]
Entry = dict[str, Any]
# Figure of a paper -> figure of `python -m evaluate`, and the factor to the paper's unit.
FIGURES = {
    "FID": ("fid_real", 1.0),
    "sFID": ("sfid_real", 1.0),
    "CLIP-FID": ("clip_fid_real", 1.0),
    "IS": ("is", 1.0),
    "precision": ("precision", 1.0),
    "recall": ("recall", 1.0),
    "CLIP score": ("clip_score", 1.0),
    "speedup": ("speedup", 1.0),
    "latency_s": ("latency_s", 1.0),
    "TMACs": ("macs", 1e-12),
}


def published(name: str) -> dict[str, dict[str, Any]]:
    """The tables of a paper: `columns`, `base` (the unaccelerated row's name or None), `rows`."""
    text = (FOLDER / "published" / f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)["tables"]
    return found


def cell(table: Mapping[str, Any], row: str, column: str) -> float | None:
    """One published figure."""
    found: float | None = table["rows"][row][table["columns"].index(column)]
    return found


def entry(
    place: str,
    row: str,
    figure: str,
    theirs: float | None,
    ours: float | None,
    source: str,
    why: str = "",
) -> Entry:
    """A published figure beside ours.

    Args:
        place: which table.
        row: its row.
        figure: what is compared, both alike.
        theirs, ours: the figure; None where there is none.
        source: origin of ours.
        why: what explains a difference, or that there is no figure of ours.
    """
    ratio = ours / theirs if ours is not None and theirs else None
    return {
        "table": place, "row": row, "figure": figure, "published": theirs, "ours": ours,
        "ratio": ratio, "source": source, "why": why,
    }  # fmt: skip


@cache
def network(name: str, **size: Any) -> Any:
    """A network without weights, once."""
    return build(name, **size)


def work(name: str, plan: Strategy, **size: Any) -> float:
    """Multiply-accumulates of a whole generation at full size, guidance included.

    One call of each kind is counted, on torch's meta device.

    Args:
        name: name of the network, see `networks/topologies.py`.
        plan: made for any solver of its family.
        size: see `networks/topologies.py`.
    """
    pipe, given = network(name, **size)
    kinds = plan.kinds()
    first = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    solver = type(pipe.scheduler).__name__
    short = Strategy.create(
        family=plan.family,
        scheduler=solver,
        steps=len(first),
        calls=len(first),
        methods={key: knobs.take(first) for key, knobs in plan.canonical().methods.items()},
    )
    counted = dict(zip(dict.fromkeys(kinds), by_call(pipe, given, short), strict=True))
    return float(sum(counted[kind] for kind in kinds))


def plain(plan: Strategy, steps: int | None = None, solver: str | None = None) -> Strategy:
    """Nothing accelerated, with a strategy's solver and steps or others."""
    bare = Strategy.create(**(plan.to_json() | {"methods": {}, "scores": {}, "baseline": {}}))
    return bare.resample(steps=steps, scheduler=solver) if steps or solver else bare


def parser(text: str | None, name: str) -> argparse.ArgumentParser:
    """The flags that all of these scripts have."""
    made = argparse.ArgumentParser(
        description=text, epilog="With --model, every other flag goes to python -m evaluate."
    )
    made.add_argument("--model", help="folder of the paper's model, in diffusers format")
    made.add_argument("--reference", help="images or statistics, see python -m evaluate")
    made.add_argument("--images", type=int, help="of each strategy")
    made.add_argument("--repeats", type=int, default=3, help="turns of timing")
    made.add_argument("--device", default=default_device())
    made.add_argument("--cache", type=Path, default=Path("runs") / name)
    made.add_argument("--json", type=Path, help="where to write; by default benchmarks/results")
    return made


def real(
    flags: argparse.Namespace,
    protocol: Sequence[str],
    rest: Sequence[str],
    plans: Mapping[str, Strategy],
) -> dict[str, dict[str, Any]]:
    """Rows of `python -m evaluate` on the user's model, by plan; the unaccelerated one is `""`.

    Args:
        protocol: the paper's setting as flags of `python -m evaluate`.
        rest: flags that replace them.
        plans: strategies with the protocol's steps; resampled if `rest` has others.
    """
    asked = ["--model", flags.model, *protocol, "--repeats", str(flags.repeats)]
    asked += ["--device", flags.device, *rest]
    if flags.images is not None:
        asked += ["--images", str(flags.images)]
    if flags.reference:
        asked += ["--reference", flags.reference]
    before, after = (score_parser().parse_args(given) for given in (protocol, asked))
    folder = flags.cache / "strategies"
    folder.mkdir(parents=True, exist_ok=True)
    for name, plan in plans.items():
        own = (plan.scheduler, plan.steps) == (before.scheduler or plan.scheduler, before.steps)
        if own and (after.scheduler, after.steps) != (before.scheduler, before.steps):
            plan = plan.resample(steps=after.steps, scheduler=after.scheduler)
        path = folder / f"{name}.json"
        strategies.save(plan, path)
        asked += ["--strategy", str(path)]
    target = flags.cache / "evaluated.json"
    code = cli.main([*asked, f"--json={target}", "--out", str(flags.cache / "images")])
    if code:
        raise SystemExit(code)
    rows = json.loads(target.read_text(encoding="utf-8"))["rows"]
    return dict(zip(["", *plans], rows, strict=True))


def beside(
    place: str,
    table: Mapping[str, Any],
    names: Mapping[str, str],
    rows: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, str] | None = None,
) -> list[Entry]:
    """Entries of every figure that a table and the user's model both have.

    Args:
        names: names of plans, by the table's rows.
        rows: rows of `real`.
        columns: figures of `FIGURES` by the table's columns; by default they have the same names.
    """
    found = []
    for row in table["rows"]:
        for column in table["columns"]:
            figure = column if columns is None else columns.get(column, "")
            if row not in names or figure not in FIGURES:
                continue
            key, factor = FIGURES[figure]
            value = rows[names[row]].get(key)
            ours = None if value is None else value * factor
            why = "" if ours is not None else "not scored; see the output of python -m evaluate"
            theirs = cell(table, row, column)
            found.append(entry(place, row, column, theirs, ours, "the real model", why))
    return found


def finish(
    flags: argparse.Namespace,
    name: str,
    entries: Iterable[Entry],
    measured: Mapping[str, Any] | None = None,
    **setting: Any,
) -> None:
    """Write and print all entries.

    Args:
        measured: rows of the bundled model that entries were taken from.
        setting: whatever else has to be known of it.
    """
    entries = list(entries)
    device = device_name(SimpleNamespace(device=flags.device))
    known = {"device": device, "images": flags.images, "repeats": flags.repeats, **setting}
    suffix = "-real" if flags.model else ""
    target = flags.json or RESULTS / f"{name}{suffix}.json"
    document = {
        "setting": known | {"versions": versions()},
        "rows": entries,
        "measured": dict(measured or {}),
    }
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for one in entries:
        numbers = " ".join(
            f"{key} {one[key]:.4g}"
            for key in ("published", "ours", "ratio")
            if one[key] is not None
        )
        print(f"{one['table']} | {one['row']} | {one['figure']}: {numbers} | {one['why']}")
