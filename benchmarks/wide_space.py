"""Whether a wide space costs: the same device time in the space of everything and in a narrow one.

    python -m benchmarks run wide_space --budget 12m --seeds 0 1 2 3 4
    python -m benchmarks run wide_space --wide unet-guided --objectives fd_real latency

Every search is an ordinary run of `python -m search`, in a folder of its own; one that is there and
finished is read, one that was interrupted goes on. What is compared is the hypervolume of the front
on held-out prompts, seed by seed, by a one-sided Mann-Whitney test against the wide one being
lower; and which methods act in the fronts of the wide one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import mannwhitneyu

from search import cli
from search.results import run as runs
from search.results.run import Run

SPACES = {"wide": "unet-all", "narrow": "unet-small"}


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    made.add_argument("--model", default="tiny-sd")
    made.add_argument("--budget", default="12m", help="device time of each search (default: 12m)")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    made.add_argument("--wide", default=SPACES["wide"], help="space (default: %(default)s)")
    made.add_argument("--narrow", default=SPACES["narrow"], help="space (default: %(default)s)")
    made.add_argument("--objectives", nargs="*", default=[], help="such as fd_real latency")
    made.add_argument("--draw", type=Path, default=Path("runs/wide-space"), help="folder of runs")
    made.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="of the result")
    made.add_argument("--flags", nargs="*", default=[], help="further ones of each search")
    return made


def search(folder: Path, space: str, seed: int, flags: argparse.Namespace) -> Run:
    """A finished search, drawn where it is not there."""
    if not (folder / "config.yaml").is_file():
        asked = ["--model", flags.model, "--space", space, "--budget", flags.budget]
        asked += [word for name in flags.objectives for word in ("--objective", name)]
        code = cli.main([*asked, "--seed", str(seed), "--out", str(folder), *flags.flags])
    elif runs.read(folder).state == "finished":
        return runs.read(folder)
    else:
        code = cli.main(["--resume", str(folder)])
    if code:
        raise SystemExit(code)
    return runs.read(folder)


def facts(run: Run) -> dict[str, Any]:
    """What a search has found."""
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    methods: dict[str, int] = {}
    for point in run.front():
        for name in point.strategy.canonical().methods:
            methods[name] = methods.get(name, 0) + 1
    names = ("hypervolume", "hypervolume_baselines", "hypervolume_together", "evaluations",
             "beyond_seeds", "device_seconds", "front")  # fmt: skip
    found = {name: summary[name] for name in names}
    table = run.study.noted("table") or {"kinds": {}}
    return found | {"methods": methods, "kinds_timed": len(table["kinds"])}


def compare(wide: Sequence[float], narrow: Sequence[float]) -> dict[str, Any]:
    """Medians, and the chance of the wide ones being this much lower if neither is."""
    lower = mannwhitneyu(wide, narrow, alternative="less").pvalue
    higher = mannwhitneyu(wide, narrow, alternative="greater").pvalue
    return {
        "wide": median(wide),
        "narrow": median(narrow),
        "p_wide_is_lower": float(lower),
        "p_wide_is_higher": float(higher),
    }


def main(arguments: list[str] | None = None) -> int:
    """Draw, compare and write `wide-space-MODEL.json`."""
    flags = parser().parse_args(arguments)
    rows: dict[str, dict[str, Any]] = {"wide": {}, "narrow": {}}
    for seed in flags.seeds:  # By turns, so that a slow hour of the machine hits both alike.
        for label, space in (("wide", flags.wide), ("narrow", flags.narrow)):
            run = search(flags.draw / f"{label}-{seed}", space, seed, flags)
            rows[label][str(seed)] = facts(run)
    figures = ("hypervolume", "hypervolume_together")
    found = {
        name: compare(*([one[name] for one in rows[label].values()] for label in rows))
        for name in figures
    }
    asked = {"model": flags.model, "budget": flags.budget, "seeds": flags.seeds}
    spaces = {"wide": flags.wide, "narrow": flags.narrow}
    flags.out.mkdir(parents=True, exist_ok=True)
    path = flags.out / f"wide-space-{flags.model}.json"
    text = json.dumps({"asked": asked, "spaces": spaces, "compared": found, "runs": rows}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    for name, one in found.items():
        print(f"{name}: wide {one['wide']:.4f}, narrow {one['narrow']:.4f}, "
              f"p of wide being lower {one['p_wide_is_lower']:.3f}")  # fmt: skip
    used = {name for one in rows["wide"].values() for name in one["methods"]}
    print(f"methods on the fronts of the wide space: {', '.join(sorted(used)) or 'none'}")
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
