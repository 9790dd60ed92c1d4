"""Finalists: strategies scored on held-out prompts, and the exported front of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from search.config import SearchConfig
from search.pareto import nondominated
from search.study import score_checks as gate
from search.study.study import Study
from strategies import Strategy


@dataclass(frozen=True)
class Final:
    """A strategy scored on held-out prompts.

    Attributes:
        role: `unaccelerated`, `baseline` or `front`.
        scores: on held-out prompts, with measured `latency_s` and `speedup`.
        intervals: `[value, low, high]` by name.
        objectives: as in the search.
        violation: how far outside the constraints; only what keeps them is exported.
        images: that these are of; the same for all that are compared, see `comparable`. 0 in runs
            of versions that had one number for all.
        changes: intervals of changes on the most images that it was scored on, which say whether
            it has no loss.
        judged: images of those.
        full: of the full set; on fewer nothing passes.
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


def comparable(finals: Iterable[Final]) -> list[Final]:
    """Those whose figures are of the same images, the most that any has.

    A finalist that another of its kind has beaten beyond doubt stopped on fewer.
    """
    rows = list(finals)
    most = max((final.images for final in rows), default=0)
    return [final for final in rows if final.images == most]


def front(finals: list[Final]) -> list[Final]:
    """The finals that no other dominates on held-out prompts, fastest first.

    A point that a baseline dominates is not on it; a baseline that nothing dominates is. What
    breaks a constraint on held-out prompts, or end to end, is not, and neither is what was beaten
    on fewer images.
    """
    rows = [
        final
        for final in comparable(finals)
        if final.role != "unaccelerated" and final.violation <= 0
    ]
    points = np.array([final.objectives for final in rows], dtype=float)
    chosen = [rows[index] for index in nondominated(points)]
    return sorted(chosen, key=lambda final: final.scores["latency_s"])


def keep_finals(study: Study, finals: Sequence[Final], config: SearchConfig) -> None:
    """Keep the finalists, with what they were chosen from: evaluations, and what was asked for.

    It is the last thing that a search writes, and what makes it a finished one.
    """
    rows = []
    for final in finals:
        row = {field.name: getattr(final, field.name) for field in fields(final)}
        rows.append(row | {"strategy": final.strategy.to_json()})
    asked = _asked(config)
    study.note("finals", {"evaluations": len(study.evaluations), "asked": asked, "rows": rows})


def _asked(config: SearchConfig) -> dict[str, Any]:
    return {"budget": config.budget, "export": config.export}


def is_finished(study: Study, config: SearchConfig) -> bool:
    """Whether the front that these settings ask for is exported."""
    if not finals(study):
        return False
    kept = study.noted("finals")
    return bool(kept.get("asked", _asked(config)) == _asked(config))


def finals(study: Study) -> list[Final]:
    """The finalists of a finished search; none where it has gone on since.

    An earlier version may have kept figures that are not finite; those finalists are left out.
    """
    kept = study.noted("finals")
    if kept is None or kept["evaluations"] != len(study.evaluations):
        return []
    names = {field.name for field in fields(Final)}
    found = []
    for row in kept["rows"]:
        if gate.unsound({**row["scores"], "an objective": row["objectives"]}):
            continue
        given = {name: value for name, value in row.items() if name in names}
        given["strategy"] = Strategy.create(**row["strategy"])
        found.append(Final(**given | {"objectives": tuple(row["objectives"])}))
    return found if any(one.role == "unaccelerated" for one in found) else []
