"""Finalists: strategies scored on held-out prompts, and the exported front of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from search.config import SearchConfig
from search.pareto import nondominated
from search.study import score_checks as gate
from search.study.finalist_notes import FinalistNotes
from search.study.study import Study
from strategies import Strategy


@dataclass(frozen=True)
class Finalist:
    """A strategy scored on held-out prompts.

    Attributes:
        role: `unaccelerated`, `baseline` or `front`.
        scores: scores on held-out prompts, with measured `latency_s` and `speedup`.
        intervals: `[value, low, high]` by name.
        objectives: objectives as in the search.
        violation: distance outside the constraints; only strategies that keep them are exported.
        images: number of images of these scores; the same for all that are compared, see
            `comparable_finalists`. 0 in runs of versions that had one number for all.
        changes: intervals of changes on the most images that it was scored on, which decide whether
            it has no loss.
        judged: number of those images.
        full: number of images of the full set; fewer never pass.
    """

    role: str
    origin: str
    strategy: Strategy
    scores: dict[str, float]
    intervals: dict[str, list[float]]
    objectives: tuple[float, ...] = ()
    violation: float = 0.0
    images: int = 0
    changes: dict[str, list[float]] = field(default_factory=dict)
    judged: int = 0
    full: int = 0


def comparable_finalists(finals: Iterable[Finalist]) -> list[Finalist]:
    """Finalists with scores of the same images, the most that any has.

    A finalist that another of its kind dominates with confidence stopped on fewer images.
    """
    rows = list(finals)
    most = max((final.images for final in rows), default=0)
    return [final for final in rows if final.images == most]


def front(finals: list[Finalist]) -> list[Finalist]:
    """Finalists that no other dominates on held-out prompts, fastest first.

    Baselines count on both sides: a point that a baseline dominates is not on the front, and a
    baseline that nothing dominates is. A finalist that breaks a constraint on held-out prompts, or
    end to end, is not on it, and neither is one that stopped on fewer images.
    """
    rows = [
        final
        for final in comparable_finalists(finals)
        if final.role != "unaccelerated" and final.violation <= 0
    ]
    points = np.array([final.objectives for final in rows], dtype=float)
    chosen = [rows[index] for index in nondominated(points)]
    return sorted(chosen, key=lambda final: final.scores["latency_s"])


def keep_finals(study: Study, finals: Sequence[Finalist], config: SearchConfig) -> None:
    """Keep the finalists, with the evaluations and settings that they were chosen by.

    It is the last thing that a search writes, and makes it a finished one.
    """
    rows = []
    for final in finals:
        row = {field.name: getattr(final, field.name) for field in fields(final)}
        rows.append(row | {"strategy": final.strategy.to_json()})
    asked = _asked(config)
    kept = {"evaluations": len(study.evaluations), "asked": asked, "rows": rows}
    FinalistNotes(study).keep_exported(kept)


def _asked(config: SearchConfig) -> dict[str, Any]:
    return {"budget": config.budget, "export": config.export}


def is_finished(study: Study, config: SearchConfig) -> bool:
    """Whether the front that these settings ask for is exported."""
    if not finals(study):
        return False
    kept = FinalistNotes(study).exported or {}
    return bool(kept.get("asked", _asked(config)) == _asked(config))


def finals(study: Study) -> list[Finalist]:
    """Finalists of a finished search; none if it has continued since.

    Finalists of earlier versions with scores that are not finite are left out.
    """
    kept = FinalistNotes(study).exported
    if kept is None or kept["evaluations"] != len(study.evaluations):
        return []
    names = {field.name for field in fields(Finalist)}
    found = []
    for row in kept["rows"]:
        if gate.unsound({**row["scores"], "an objective": row["objectives"]}):
            continue
        given = {name: value for name, value in row.items() if name in names}
        given["strategy"] = Strategy.create(**row["strategy"])
        found.append(Finalist(**given | {"objectives": tuple(row["objectives"])}))
    return found if any(one.role == "unaccelerated" for one in found) else []
