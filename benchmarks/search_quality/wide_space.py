"""Whether a wide space costs: the same device time in the space of everything and in a narrow one.

    python -m benchmarks run wide_space --budget 12m --seeds 0 1 2 3 4
    python -m benchmarks run wide_space --wide unet-guided --without guidance \
        --objectives fd_real latency

Every search is an ordinary run of `python -m search`, in a folder of its own; one that is there and
finished is read, one that was interrupted goes on. Compared is the hypervolume of the front on
held-out prompts, by one-sided Mann-Whitney tests that count all arrangements. The worst point that
counts is the same for all runs; latencies are divided by that of each run's unaccelerated pipeline,
so that a slow hour of the machine does not matter. With `--without`, the narrow space is the wide
one without the genes of those methods.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml

from benchmarks.search_quality.significance import p_greater
from search import cli
from search.objectives.objectives import Objectives
from search.pareto import Points, hypervolume
from search.results import run as runs
from search.results.finalist import Finalist, comparable_finalists
from search.results.run import Run
from search.study.measurements import Measurements
from search.study.reference_point import worst
from strategies import StrategyError
from strategies.data_files.configs import read_config

SPACES = {"wide": "unet-all", "narrow": "unet-small"}
ROLES = {"hypervolume": ("front",), "hypervolume_baselines": ("baseline",),
         "hypervolume_together": ("front", "baseline")}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    made.add_argument("--model", default="tiny-sd")
    made.add_argument("--budget", default="12m", help="device time of each search (default: 12m)")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    made.add_argument("--wide", default=SPACES["wide"], help="space (default: %(default)s)")
    narrow = made.add_mutually_exclusive_group()
    narrow.add_argument("--narrow", default=SPACES["narrow"], help="space (default: %(default)s)")
    narrow.add_argument("--without", nargs="+", default=[], metavar="METHOD",
                        help="the narrow space is the wide one without these methods")  # fmt: skip
    made.add_argument("--objectives", nargs="*", default=[], help="such as fd_real latency")
    made.add_argument("--draw", type=Path, default=Path("runs/wide-space"), help="folder of runs")
    made.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="of the result")
    made.add_argument("--flags", nargs="*", action="extend", default=[],
                      help="further ones of each search: --flags=--images=16")  # fmt: skip
    return made


def without(space: str, methods: Sequence[str], folder: Path) -> str:
    """Write a space without the genes of some methods; returns the path of its file.

    Args:
        space: name of a space, or a path.
        methods: names of methods that the space has.
        folder: folder of the written file.

    Raises:
        StrategyError: the space lacks one of the methods.
    """
    settings = read_config("spaces", space)
    listed = settings.get("methods", [])
    genes = settings.get("knobs", {})
    there = {*listed, *(name.partition(".")[0] for name in genes)}
    if missing := sorted(set(methods) - there):
        raise StrategyError(
            f"the space {space} has no genes of {', '.join(missing)}; it has those of "
            f"{', '.join(sorted(there))}"
        )
    if listed:
        settings["methods"] = [name for name in listed if name not in methods]
    if genes:
        settings["knobs"] = {
            name: one for name, one in genes.items() if name.partition(".")[0] not in methods
        }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(space).stem}-without-{'-'.join(sorted(methods))}.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return str(path)


def search(folder: Path, space: str, seed: int, flags: argparse.Namespace) -> Run:
    """A finished search, drawn where it is not there."""
    if not (folder / "config.yaml").is_file():
        asked = ["--model", flags.model, "--space", space, "--budget", flags.budget]
        asked += [word for name in flags.objectives for word in ("--objective", name)]
        code = cli.main([*asked, "--seed", str(seed), "--out", str(folder), *flags.flags])
    elif runs.load_run(folder).state == "finished":
        return runs.load_run(folder)
    else:
        code = cli.main(["--resume", str(folder)])
    if code:
        raise SystemExit(code)
    return runs.load_run(folder)


def facts(run: Run) -> dict[str, Any]:
    """Results of a search that need no other runs."""
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    methods: dict[str, int] = {}
    for point in run.front():
        for name in point.strategy.canonical().methods:
            methods[name] = methods.get(name, 0) + 1
    names = ("evaluations", "beyond_seeds", "front", "heldout_images")
    found = {name: summary[name] for name in names}
    table = Measurements(run.study).latency_table
    return found | {"methods": methods, "kinds_timed": len(table.kinds) if table else 0}


def objectives(run: Run) -> Objectives:
    """The objectives of a run, held against its unaccelerated pipeline on held-out prompts."""
    return Objectives.create(run.config.objectives, {}, run.unaccelerated.scores, {})


def points(finals: Sequence[Finalist], run: Run) -> Points:
    """Losses `[n, objectives]` of finalists, latencies as shares of the unaccelerated one."""
    latency = run.unaccelerated.scores["latency_s"]
    units = [latency if name == "latency_s" else 1.0 for name in objectives(run).names]
    rows = [final.objectives for final in finals]
    found: Points = np.array(rows, dtype=float).reshape(len(rows), len(units)) / np.array(units)
    return found


def worst_points(run: Run) -> tuple[float, ...]:
    """The worst point that counts by one run alone, latency as in `points`."""
    mine = objectives(run)
    found = worst(mine.reference_point, mine.unscaled, run.study.evaluations)
    return tuple(
        1.0 if name == "latency_s" else value for name, value in zip(mine.names, found, strict=True)
    )


def volumes(searches: Sequence[Run]) -> list[dict[str, float]]:
    """The hypervolumes of each run, held against one worst point for all."""
    reference = np.max([worst_points(run) for run in searches], axis=0)
    found = []
    for run in searches:
        sound = [final for final in comparable_finalists(run.finals) if final.violation <= 0]
        one = {}
        for name, roles in ROLES.items():
            chosen = [final for final in sound if final.role in roles]
            one[name] = hypervolume(points(chosen, run), tuple(reference))
        found.append(one)
    return found


def compare(wide: Sequence[float], narrow: Sequence[float]) -> dict[str, Any]:
    """Medians, and the chance of such a difference if there is none."""
    return {
        "wide": median(wide),
        "narrow": median(narrow),
        "p_wide_is_lower": p_greater(narrow, wide),
        "p_wide_is_higher": p_greater(wide, narrow),
    }


def main(arguments: list[str] | None = None) -> int:
    """Draw, compare and write `wide-space-MODEL-WIDE-NARROW-OBJECTIVES.json`."""
    flags = parser().parse_args(arguments)
    narrow = without(flags.wide, flags.without, flags.draw) if flags.without else flags.narrow
    spaces = {"wide": flags.wide, "narrow": narrow}
    drawn: dict[str, list[Run]] = {label: [] for label in spaces}
    runs_of_model = flags.draw / flags.model
    for seed in flags.seeds:  # By turns, so that a slow hour of the machine hits both alike.
        for label, space in spaces.items():
            drawn[label].append(
                search(runs_of_model / f"{Path(space).stem}-{seed}", space, seed, flags)
            )
    measured = iter(volumes([run for label in spaces for run in drawn[label]]))
    rows = {
        label: {
            str(seed): facts(run) | next(measured)
            for seed, run in zip(flags.seeds, drawn[label], strict=True)
        }
        for label in spaces
    }
    found = {
        name: compare(*([one[name] for one in rows[label].values()] for label in rows))
        for name in ("hypervolume", "hypervolume_together")
    }
    names = {label: Path(space).stem for label, space in spaces.items()}
    asked = {"model": flags.model, "budget": flags.budget, "seeds": flags.seeds,
             "objectives": flags.objectives}  # fmt: skip
    flags.out.mkdir(parents=True, exist_ok=True)
    parts = [flags.model, names["wide"], names["narrow"], *flags.objectives]
    path = flags.out / f"wide-space-{'-'.join(parts)}.json"
    text = json.dumps({"asked": asked, "spaces": names, "compared": found, "runs": rows}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    for name, one in found.items():
        print(f"{name}: wide {one['wide']:.4f}, narrow {one['narrow']:.4f}, p of wide being lower "
              f"{one['p_wide_is_lower']:.3f}, higher {one['p_wide_is_higher']:.3f}")  # fmt: skip
    used = {name for one in rows["wide"].values() for name in one["methods"]}
    print(f"methods on the fronts of the wide space: {', '.join(sorted(used)) or 'none'}")
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
