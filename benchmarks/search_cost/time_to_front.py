"""Device time after which this build has the front of an earlier one.

    python -m benchmarks run time_to_front --before COMMIT --draw runs/time-to-front
    python -m benchmarks run time_to_front --before COMMIT --model tiny-pixart --seeds 0 1 2 3 4

Searches of both builds alternate seed by seed, each in a folder of its own. With `--at-once 2` two
of one seed run at the same time: then a machine whose speed changes is as fast for one as for the
other. They may share a core, because device time on a CPU is processor time.

The earlier build is checked out as a work tree of git. Each saving of device time is also switched
off in turn. The goal is the hypervolume that the earlier build has after 100 and after 300
evaluations. Compared is the device time at which the others have it, by the search's own scores and
on held-out prompts, plain and by logarithms. A search that is there and finished is read, one that
was interrupted continues, and held-out images are kept. Writes
`benchmarks/results/time_to_front-MODEL.json`, for other numbers of evaluations with the number in
its name.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.entry import FOLDER, RESULTS
from benchmarks.search_cost.one_search import SAVINGS
from benchmarks.search_cost.reached import KINDS, Curve, Heldout, volumes
from benchmarks.search_quality.significance import p_greater
from search.results import run as runs
from search.results.run import Run

ROOT = FOLDER.parent
BEFORE, NOW = "before", "now"
GOALS = (100, 300)  # Evaluations of the earlier build.
# The final scoring is not compared here: the fronts are scored on held-out prompts below.
SHORT = ("--workers", "0", "--export", "1", "--heldout-images", "8")


@dataclass(frozen=True)
class Build:
    """One build of the package.

    Attributes:
        name: name of the build.
        code: folder of its code.
        without: savings that are switched off; the earlier build has none.
    """

    name: str
    code: Path
    without: tuple[str, ...] = ()

    def command(self, flags: Sequence[str]) -> list[str]:
        """Command of a search."""
        if self.name == BEFORE:
            return [sys.executable, "-m", "search", *flags]
        off = ["--without", *self.without] if self.without else []
        return [sys.executable, "-m", "benchmarks.search_cost.one_search", *off, "--", *flags]


def builds(commit: str, folder: Path) -> list[Build]:
    """The earlier build, this one, and this one without each saving."""
    code = folder / f"code-{commit}"
    if not code.exists():
        command = ["git", "worktree", "add", "--detach", str(code.resolve()), commit]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    without = [Build(f"without {name}", ROOT, (name,)) for name in SAVINGS]
    return [Build(BEFORE, code.resolve()), Build(NOW, ROOT), *without]


def search(build: Build, seed: int, flags: argparse.Namespace) -> Run:
    """A finished search; it is run or continued if it is not finished."""
    folder = (flags.draw / flags.model / f"{build.name.replace(' ', '-')}-{seed}").resolve()
    there = (folder / "config.yaml").is_file()
    if there and runs.load_run(folder).state == "finished":
        return runs.load_run(folder)
    asked = ["--resume", str(folder)]
    if not there:
        asked = ["--model", flags.model, "--budget", f"{flags.evaluations}evals"]
        asked += ["--seed", str(seed), "--out", str(folder), *SHORT]
    # Nothing that another search has kept may save this one time.
    own = {"PYTHONPATH": str(build.code), "STRATAGEM_CACHE": str(folder.with_suffix(".cache"))}
    subprocess.run(build.command(asked), cwd=build.code, env=os.environ | own, check=True)
    return runs.load_run(folder)


def times(
    before: Curve, other: Curve, goal: int, worst: float, heldout: Heldout | None
) -> dict[str, float]:
    """Device times of reaching the earlier build's front, as shares of its own device time."""
    whole = before.after(goal)
    if not isfinite(whole):
        return {}
    own = volumes(before.points(before.until(whole)), worst)
    found = {f"search_{kind}": other.reached(own[kind], kind, worst) / whole for kind in KINDS}
    if heldout is not None:
        theirs = heldout.volumes(before, whole)
        found |= {
            f"heldout_{kind}": heldout.reached(other, theirs[kind], kind, whole) / whole
            for kind in KINDS
        }
    return found


def row(name: str, goal: int, shares: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Medians over the seeds, and the chance that the earlier build is not slower."""
    told: dict[str, Any] = {"build": name, "goal": goal}
    for key in shares[0]:
        values = [one[key] for one in shares]
        middle = median(values)
        told[key] = round(middle, 3) if isfinite(middle) else None
        # One seed has no chance to compare.
        told[f"{key}_p"] = p_greater([1.0] * len(values), values) if len(values) > 1 else None
        told[f"{key}_seeds"] = [round(v, 3) if isfinite(v) else None for v in values]
    return told


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, metavar="COMMIT", help="the earlier build")
    parser.add_argument("--model", default="tiny-sd", choices=("tiny-sd", "tiny-pixart"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--evaluations", type=int, default=300, help="of each search")
    parser.add_argument("--only", nargs="+", default=[], help="names of builds besides `before`")
    parser.add_argument("--at-once", type=int, default=1, help="searches of a seed; for CPUs")
    parser.add_argument("--heldout", type=int, default=24, help="images; 0 scores none")
    parser.add_argument("--draw", type=Path, default=Path("runs/time-to-front"), help="of runs")
    flags = parser.parse_args(arguments)
    flags.draw.mkdir(parents=True, exist_ok=True)
    chosen = [
        one
        for one in builds(flags.before, flags.draw)
        if one.name == BEFORE or not flags.only or one.name in flags.only
    ]
    curves: dict[str, list[Curve]] = {one.name: [] for one in chosen}
    with ThreadPoolExecutor(flags.at_once) as pool:
        for seed in flags.seeds:
            done = pool.map(partial(search, seed=seed, flags=flags), chosen)
            for one, run in zip(chosen, done, strict=True):
                curves[one.name].append(Curve.of(run))
    worst = max(one.worst for mine in curves.values() for one in mine)
    heldout = None
    if flags.heldout:
        heldout = Heldout(flags.model, flags.heldout, flags.draw / flags.model / "heldout")
    rows = []
    for name, mine in curves.items():
        for goal in GOALS:
            pairs = zip(curves[BEFORE], mine, strict=True)
            found = [times(old, new, goal, worst, heldout) for old, new in pairs]
            if name != BEFORE and all(found):
                rows.append(row(name, goal, found))
    setting = {"model": flags.model, "before": flags.before, "seeds": flags.seeds}
    text = json.dumps({**setting, "heldout_images": flags.heldout, "rows": rows}, indent=1)
    length = [] if flags.evaluations == max(GOALS) else [f"{flags.evaluations}"]
    target = RESULTS / f"{'-'.join(['time_to_front', flags.model, *length])}.json"
    target.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
