"""Tables of a comparison as text: one row for each run, one for each point of a front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluate.statistics.bootstrap import Interval
from search.objectives import labels
from search.results.comparison.fronts import LATENCY, RunComparison, is_paired
from search.results.comparison.settings import differing
from search.results.run import NO_LOSS
from search.study.evaluation import strategy_kind
from strategies import describe

RUN_COLUMNS = (
    *("hypervolume", "change to the first", "points", "dominated by others"),
    *("fastest", "knee", "no loss"),
)


def run_rows(found: RunComparison) -> list[dict[str, str]]:
    """One row for each run, in the order of `RUN_COLUMNS`."""
    changes = ["", *(_volume(one, signed=True) for one in found.changes)]
    rows = []
    for one, volume, change in zip(found.fronts, found.volumes, changes, strict=True):
        speed = {name: f"{value:.2f}x" for name, value in one.speedups.items()}
        cells = (
            *(_volume(volume), change, one.kinds or "none"),
            f"{found.dominated(one)} of {len(one.points)}",
            *(speed.get(name, "-") for name in ("fastest", "knee", NO_LOSS)),
        )
        rows.append({"run": one.name, **dict(zip(RUN_COLUMNS, cells, strict=True))})
    return rows


def point_rows(found: RunComparison) -> list[dict[str, Any]]:
    """One row for each point of every front."""
    return [
        {
            "run": one.name,
            "speedup": labels.score_text("speedup", point.scores["speedup"]),
            **{name: _score(found, one, point, name) for name in found.objectives},
            "kind": strategy_kind(point.origin, point.strategy, one.run.config.proposer),
            "no loss": point.no_loss or "not tested",
            "solver, steps": f"{point.strategy.short_solver} {point.strategy.steps}",
            "what it does": "; ".join(describe.summary(point.strategy)) or "fewer steps",
        }
        for one in found.fronts
        for point in one.points
    ]


def reading_notes(found: RunComparison) -> list[str]:
    """Sentences that are needed to read the numbers."""
    worst = ", ".join(
        f"{labels.short(name)} {_value(found, name, value)}"
        for name, value in zip(found.objectives, found.worst, strict=True)
    )
    lines = [f"Hypervolume: share of the box up to the common worst point ({worst})."]
    if not found.held_out:
        lines.append(
            "Some search is not finished, so all scores are on the prompts of the searches, "
            "without intervals."
        )
    elif all(volume.known for volume in found.volumes):
        lines.append(
            "95 % intervals over held-out prompts; the spread of measured latencies is not in them."
        )
    first, *others = found.fronts
    apart = [one.name for one in others if found.held_out and not is_paired(first, one)]
    if apart:
        lines.append(
            f"{', '.join(apart)}: scored on other held-out prompts than {first.name}, so the "
            "change is not paired."
        )
    counts = {one.images for one in found.fronts}
    if len(counts) > 1:
        lines.append(
            f"The fronts are scored on {', '.join(map(str, sorted(counts)))} images; distances "
            "such as FD are smaller on more images."
        )
    if found.relative:
        lines.append(
            "The runs were measured on different devices, so latency is compared as a share of "
            "the unaccelerated pipeline's."
        )
    return lines


def as_json(found: RunComparison) -> dict[str, Any]:
    """The comparison as plain data."""
    changes: list[Interval | None] = [None, *found.changes]
    runs = [
        {
            "run": one.name,
            "folder": str(one.run.folder),
            "hypervolume": _plain(volume),
            "change": None if change is None else _plain(change),
            "points": len(one.points),
            "dominated": found.dominated(one),
            "speedups": one.speedups,
            "front": [
                {"digest": point.strategy.digest, "origin": point.origin, **point.scores}
                for point in one.points
            ],
        }
        for one, volume, change in zip(found.fronts, found.volumes, changes, strict=True)
    ]
    return {
        "objectives": list(found.objectives),
        "held_out": found.held_out,
        "relative_latency": found.relative,
        "worst": list(found.worst),
        "runs": runs,
        "differ": dict(differing([one.run for one in found.fronts])),
    }


def _plain(value: Interval) -> Mapping[str, float | None]:
    low, high = (value.low, value.high) if value.known else (None, None)
    return {"value": value.value, "low": low, "high": high}


def _volume(value: Interval, signed: bool = False) -> str:
    form = "{:+.4f}" if signed else "{:.4f}"
    text = form.format(value.value)
    if not value.known:
        return text
    return f"{text} ({form.format(value.low)} to {form.format(value.high)})"


def _score(found: RunComparison, one: Any, point: Any, name: str) -> str:
    return _value(found, name, found.shown(one, point, name))


def _value(found: RunComparison, name: str, value: float) -> str:
    if name == LATENCY and found.relative:
        return f"{value:.3f}"
    return labels.score_text(name, value)
