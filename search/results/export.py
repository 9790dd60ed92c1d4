"""Export of a run: strategy files, tables and the plot of the front."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluate.verdicts import Verdict
from search.pareto import hypervolume
from search.results import finalist, report
from search.results import folder_swap as exchange
from search.results.finalist import Finalist, comparable_finalists, front
from search.results.plots import pareto
from search.results.run import NO_LOSS, FrontPoint, Run, named_points
from search.study import failures
from search.study.evaluation import stored_kind, strategy_kind
from search.study.failures import Failure
from search.study.finalist_notes import FinalistNotes
from search.study.study import Study
from strategies import save
from strategies.data_files.whole import make_folder
from strategies.data_files.whole import write as put

FORMERLY = "lossless"  # The name of `NO_LOSS` up to version 0.1.
STRATEGIES, UNFINISHED = "strategies", "unfinished-"  # Folder, and names in it before the end.


def write(run: Run, summary: dict[str, Any]) -> None:
    """Write everything into a new folder, then exchange it for the old one.

    Args:
        run: run with its finalists, scored on held-out prompts.
        summary: content of `summary.json`.
    """
    finals = run.finals
    run = replace(run, told=summary)
    with exchange.stage(run.folder / "export", run.folder) as new:
        make_folder(new / STRATEGIES)
        write_strategy_files(run, run.front(), new / STRATEGIES)
        _csv(trials(run.study), new / "trials.csv")
        failed = failures.failures(run.study)
        _csv(export_table(run, finals, front(finals), failed), new / "front.csv")
        put(_json(summary), new / "summary.json")
        pareto.write(run, new)
        report.write(run, new)
        # The strategies first: they are what a run is for.
        for entry in sorted(new.iterdir(), key=lambda path: not path.is_dir()):
            exchange.put(entry, run.folder / entry.name)
    # A run is finished when its study says so, and by then everything is in its place.
    finalist.keep_finals(run.study, finals, run.config)


def _json(summary: dict[str, Any]) -> str:
    return json.dumps(summary, indent=2) + "\n"


def write_failed(run: Run, initial: Collection[str]) -> None:
    """Write the failures and the front found so far, for a search that cannot continue.

    Args:
        run: run without finalists.
        initial: digests of the initial strategies.
    """
    write_unfinished(run)
    failed = failures.failures(run.study)
    _csv(trials(run.study), run.folder / "trials.csv")
    if FinalistNotes(run.study).exported is None:  # The tables of a former export stay.
        _csv(export_table(run, [], [], failed), run.folder / "front.csv")
        put(_json(counts(run.study, initial)), run.folder / "summary.json")
    if any(row.feasible for row in run.study.evaluations):
        report.write(run, run.folder)


def write_unfinished(run: Run) -> int:
    """Write the front found so far with its search scores; returns its size."""
    if not any(row.feasible for row in run.study.evaluations):
        return 0
    points = run.search_front(run.config.export)
    with exchange.stage(run.folder / "export", run.folder) as new:
        make_folder(new / STRATEGIES)
        for old in (run.folder / STRATEGIES).glob("*.json"):
            if not old.name.startswith(UNFINISHED):
                put(old.read_bytes(), new / STRATEGIES / old.name)
        for index, point in enumerate(points, 1):
            name = f"{UNFINISHED}{index:02d}"
            save(run.file(point, name), new / STRATEGIES / f"{name}.json")
        _csv(trials(run.study), new / "trials.csv")
        for name in (STRATEGIES, "trials.csv"):
            exchange.put(new / name, run.folder / name)
    return len(points)


def _csv(rows: pd.DataFrame, path: Path) -> None:
    put(rows.to_csv(index=False), path)


def write_strategy_files(run: Run, points: Sequence[FrontPoint], folder: Path) -> list[Path]:
    """Write a strategy file for each point, numbered from the fastest, and the named ones.

    Returns:
        The paths, the numbered ones first.
    """
    found = []
    for index, point in enumerate(points, 1):
        name = f"{index:02d}-{point.scores['speedup']:.1f}x"
        found.append(folder / f"{name}.json")
        save(run.file(point, name), found[-1])
    for label, point in named_points(points).items():
        found.append(folder / f"{label}.json")
        save(run.file(point, f"{run.config.model.name}-{label}"), found[-1])
        if label == NO_LOSS:  # Readers of the file's former name still find it.
            found.append(folder / f"{FORMERLY}.json")
            save(run.file(point, f"{run.config.model.name}-{label}"), found[-1])
    return found


def trials(study: Study) -> pd.DataFrame:
    """One row per evaluation, with the reason of a failure, including those of finalists."""
    failed = failures.failures(study)
    later = {f.digest: f"{f.stage}: {f.error}" for f in failed if f.stage != failures.SEARCH}
    rows = [
        {
            "number": e.number,
            "origin": e.origin,
            "digest": e.strategy.digest[:12],
            "scheduler": e.strategy.solver_text,
            "steps": e.strategy.steps,
            "calls": e.strategy.calls,
            "error": e.error,
            "seconds": round(e.seconds, 3),
            "images": e.images,
            "violation": e.violation,
            **e.scores,
        }
        for e in study.evaluations
    ]
    found = pd.DataFrame(rows)
    found["failed_later"] = [later.get(e.strategy.digest, "") for e in study.evaluations]
    return found


def _changes(final: Finalist, names: Sequence[str]) -> dict[str, float]:
    """Ends of the intervals of these scores' changes, on the images of the verdict."""
    found: dict[str, float] = {}
    for name in names:
        known = final.changes or final.intervals
        if f"{name}_change" in known:
            _, low, high = known[f"{name}_change"]
            found |= {f"{name}_change_low": low, f"{name}_change_high": high}
    return found


def _verdict(verdict: Verdict | None) -> dict[str, str]:
    """Verdict on a loss as columns, with the reason if it is not `yes`."""
    if verdict is None:
        return {"no_loss": "", "why": ""}
    return {"no_loss": verdict.answer, "why": "; ".join(verdict.reasons)}


def export_table(
    run: Run,
    finals: list[Finalist],
    best: list[Finalist],
    failed: Sequence[Failure] = (),
) -> pd.DataFrame:
    """One row per exported strategy and baseline, fastest first, then one per failure.

    Args:
        run: run that says which scores decide on a loss; their changes have columns of their own.
        finals: all scored finalists.
        best: finalists on the front.
        failed: failures at any stage.
    """
    order = sorted(finals, key=lambda final: final.scores["latency_s"])
    rows = [
        {
            "role": final.role,
            "kind": final.role
            if final.role == "unaccelerated"
            else stored_kind(strategy_kind(final.origin, final.strategy, run.config.proposer)),
            "origin": final.origin,
            "on_front": any(final is one for one in best),
            **_verdict(run.verdict(final)),
            "images": final.images or run.config.heldout_images,
            "no_loss_images": final.judged or run.config.heldout_images,
            "violation": final.violation,
            "digest": final.strategy.digest[:12],
            "scheduler": final.strategy.solver_text,
            "steps": final.strategy.steps,
            **final.scores,
            **_changes(final, list(run.config.all_margins)),
            "stage": "",
            "error": "",
        }
        for final in order
    ]
    rows += [
        {
            "role": "failed",
            "kind": "failed",
            "origin": one.origin,
            "on_front": False,
            "digest": one.digest[:12],
            "scheduler": one.scheduler,
            "steps": one.steps,
            "stage": one.stage,
            "error": one.error,
        }
        for one in failed
    ]
    return pd.DataFrame(rows)


def summarise(
    run: Run,
    initial: Collection[str],
    reference: Sequence[float],
    times: Mapping[str, Any],
    unscored: int,
) -> dict[str, Any]:
    """Hypervolumes on held-out prompts, of the front and of the baselines, and the named points.

    Args:
        run: a run with its finalists.
        initial: digests of the initial strategies.
        reference: reference point of the hypervolumes.
        times: clock and device time of every phase.
        unscored: number of finalists that the budget did not suffice for.
    """
    finals = run.finals
    feasible = [f for f in comparable_finalists(finals) if f.violation <= 0]
    baselines = [f for f in feasible if f.role == "baseline"]
    mine, best = [f for f in feasible if f.role == "front"], front(finals)
    found: dict[str, Any] = {
        "hypervolume": hypervolume(_points(mine), reference),
        "hypervolume_baselines": hypervolume(_points(baselines), reference),
        "hypervolume_together": hypervolume(_points(best), reference),
        **counts(run.study, initial),
        "front": len(best),
        "heldout_images": run.unaccelerated.images,
        "full_images": run.unaccelerated.full,
        "times": dict(times),
    }
    if unscored:
        found["left_out_for_budget"] = unscored
    for label, point in named_points(run.front()).items():
        found[f"{label.replace('-', '_')}_speedup"] = point.scores["speedup"]
    return found


def counts(study: Study, initial: Collection[str]) -> dict[str, Any]:
    """Part of a summary that does not depend on whether the search was finished.

    Args:
        study: log of the search.
        initial: digests of the initial strategies.
    """
    rows, failed = study.evaluations, failures.failures(study)
    return {
        "evaluations": len(rows),
        "beyond_seeds": sum(e.strategy.digest not in initial for e in rows),
        "failed": len(failed),
        "failures": [one.to_json() for one in failed],
        "device_seconds": study.spent,
    }


def _points(finals: list[Finalist]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([final.objectives for final in finals], dtype=np.float64)
