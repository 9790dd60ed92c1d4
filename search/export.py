"""A run's folder: strategy files, tables and the picture of the front."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from search.engine import Engine
from search.finalists import Final, front, pick
from search.front import hypervolume, knee
from search.plot import plot
from search.study import comparable
from strategies import Strategy, save

PACKAGES = ("diffusion-stratagem", "torch", "diffusers", "pymoo", "numpy")


def write(engine: Engine, finals: list[Final]) -> dict[str, Any]:
    """Write everything and return the summary.

    Args:
        finals: the finalists scored on held-out prompts.
    """
    best = front(finals)
    folder = engine.folder / "strategies"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    plain = next(final for final in finals if final.role == "unaccelerated")
    for index, final in enumerate(best, 1):
        name = f"{index:02d}-{final.scores['speedup']:.1f}x.json"
        save(_strategy(engine, final, plain, Path(name).stem), folder / name)
    for label, chosen in _named(best).items():
        save(
            _strategy(engine, chosen, plain, f"{engine.config.model.name}-{label}"),
            folder / f"{label}.json",
        )
    trials(engine).to_csv(engine.folder / "trials.csv", index=False)
    table(finals, best, engine.figures.yardstick).to_csv(engine.folder / "front.csv", index=False)
    summary = summarise(engine, finals, best)
    text = json.dumps(summary, indent=2) + "\n"
    (engine.folder / "summary.json").write_text(text, encoding="utf-8")
    plot(engine, finals, best, engine.folder)
    return summary


def write_unfinished(engine: Engine) -> int:
    """After an interruption: the front found so far with its search scores; returns its size."""
    if not hasattr(engine, "base_scores"):
        return 0
    good = comparable(engine.study.evaluations)
    best = pick(good, engine.reference, engine.config.export)
    folder = engine.folder / "strategies"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("unfinished-*.json"):
        old.unlink()
    for index, evaluation in enumerate(sorted(best, key=lambda e: e.scores["latency_s"]), 1):
        scores = dict(evaluation.scores) | {"prompts": "search", "images": evaluation.images}
        done = describe(
            engine, evaluation.strategy, f"unfinished-{index:02d}", scores, engine.base_scores
        )
        save(done, folder / f"unfinished-{index:02d}.json")
    trials(engine).to_csv(engine.folder / "trials.csv", index=False)
    return len(best)


def _named(best: list[Final]) -> dict[str, Final]:
    if not best:
        return {}
    points = np.array([final.objectives for final in best])
    named = {"fastest": best[0], "knee": best[knee(points)]}
    lossless = [final for final in best if final.lossless]
    if lossless:
        named["lossless"] = lossless[0]
    return named


def _strategy(engine: Engine, final: Final, plain: Final, name: str) -> Strategy:
    scores: dict[str, Any] = dict(final.scores)
    scores |= {
        "intervals": final.intervals,
        "images": engine.config.heldout_images,
        "prompts": "heldout",
        "lossless": final.lossless,
    }
    return describe(engine, final.strategy, name, scores, plain.scores)


def describe(
    engine: Engine,
    strategy: Strategy,
    name: str,
    scores: dict[str, Any],
    baseline: dict[str, float],
) -> Strategy:
    """A strategy with its name, its scores and where they come from."""
    model = engine.config.model
    return strategy.model_copy(
        update={
            "name": name,
            "scores": scores,
            "baseline": dict(baseline),
            "provenance": {
                "model": model.name,
                "study": engine.folder.name,
                "device": engine.table.device,
                "dtype": model.dtype,
                "batch": 1,
                "guidance": model.guidance,
                "resolution": [model.height, model.width],
                "versions": {package: _version(package) for package in PACKAGES},
                "seed": engine.config.seed,
            },
        }
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "not installed"


def trials(engine: Engine) -> pd.DataFrame:
    """One row per evaluation."""
    rows = [
        {
            "number": e.number,
            "origin": e.origin,
            "digest": e.strategy.digest[:12],
            "scheduler": e.strategy.scheduler,
            "steps": e.strategy.steps,
            "calls": e.strategy.calls,
            "error": e.error,
            "seconds": round(e.seconds, 3),
            "images": e.images,
            "violation": e.violation,
            **e.scores,
        }
        for e in engine.study.evaluations
    ]
    return pd.DataFrame(rows)


def _change(final: Final, yardstick: str | None) -> dict[str, float]:
    if yardstick is None:
        return {}
    _, low, high = final.intervals.get(f"{yardstick}_change", [0, 0, 0])
    return {f"{yardstick}_change_low": low, f"{yardstick}_change_high": high}


def table(finals: list[Final], best: list[Final], yardstick: str | None) -> pd.DataFrame:
    """One row per exported strategy and baseline, fastest first.

    Args:
        finals: all that were scored.
        best: those on the front.
        yardstick: the figure that shows a loss, whose change has columns of its own.
    """
    order = sorted(finals, key=lambda final: final.scores["latency_s"])
    rows = [
        {
            "role": final.role,
            "origin": final.origin,
            "on_front": any(final is one for one in best),
            "lossless": final.lossless,
            "violation": final.violation,
            "digest": final.strategy.digest[:12],
            "scheduler": final.strategy.scheduler,
            "steps": final.strategy.steps,
            **final.scores,
            **_change(final, yardstick),
        }
        for final in order
    ]
    return pd.DataFrame(rows)


def summarise(engine: Engine, finals: list[Final], best: list[Final]) -> dict[str, Any]:
    """Hypervolumes on held-out prompts, of the front and of the baselines, and the named points."""
    plain = next(final for final in finals if final.role == "unaccelerated")
    reference = engine.make_goals(plain.scores).reference
    feasible = [f for f in finals if f.violation <= 0]
    rivals = [f for f in feasible if f.role == "baseline"]
    mine = [f for f in feasible if f.role == "front"]
    found = {
        "hypervolume": hypervolume(_points(mine), reference),
        "hypervolume_baselines": hypervolume(_points(rivals), reference),
        "hypervolume_together": hypervolume(_points(best), reference),
        "evaluations": len(engine.study.evaluations),
        "beyond_seeds": sum(
            e.number >= len(engine.proposer.seeds) for e in engine.study.evaluations
        ),
        "failed": sum(not e.ok for e in engine.study.evaluations),
        "device_seconds": engine.study.spent,
        "front": len(best),
    }
    if engine.unscored:
        found["left_out_for_budget"] = engine.unscored
    for label, final in _named(best).items():
        found[f"{label}_speedup"] = final.scores["speedup"]
    return found


def _points(finals: list[Final]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([final.objectives for final in finals], dtype=np.float64)
