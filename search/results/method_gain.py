"""Statement that no method of a search pays beside fewer steps, with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from search.objectives import labels as titles
from search.results.run import Run
from search.study.evaluation import Evaluation


def no_method_line(run: Run) -> str:
    """One line if the front only takes fewer steps; empty if a method is on it.

    The scores are those of the search's own prompts.

    Raises:
        StrategyError: nothing has been scored yet.
    """
    if any(point.strategy.canonical().methods for point in run.front()):
        return ""
    rows = [row for row in run.study.evaluations if row.objectives and row.violation <= 0]
    using = [row for row in rows if row.strategy.canonical().methods]
    plain = [row for row in rows if not row.strategy.canonical().methods]
    if not using or not plain:
        return ""
    near, beside = _nearest(using, plain)
    names = [
        name
        for name in dict.fromkeys(["speedup", *run.config.objectives])
        if name in near.scores and name in beside.scores
    ]
    count = f"none of the {len(using)} strategies" if len(using) > 1 else "no strategy"
    solver = beside.strategy.solver_text
    return (
        f"no method pays: {count} with one is on the front, which only takes fewer steps; the "
        f"nearest has {_figures(names, near.scores)}, and {solver} with {beside.strategy.steps} "
        f"steps alone {_figures(names, beside.scores)}"
    )


def _nearest(
    using: Sequence[Evaluation], plain: Sequence[Evaluation]
) -> tuple[Evaluation, Evaluation]:
    """The strategy with a method that lacks the least to the front, and what is before it.

    A strategy lacks what one of its objectives would have to gain, so that no strategy without a
    method is at least as good in all. Gains are shares of the range of an objective.
    """
    mine, theirs = (np.array([row.objectives for row in rows]) for rows in (using, plain))
    spread = np.ptp(np.vstack([mine, theirs]), axis=0)
    shares = (mine[:, None] - theirs[None]) / np.where(spread > 0, spread, 1.0)
    lacks = shares.min(axis=2)
    before = lacks.argmax(axis=1)
    near = int(lacks.max(axis=1).argmin())
    return using[near], plain[int(before[near])]


def _figures(names: Sequence[str], scores: Mapping[str, float]) -> str:
    return ", ".join(
        titles.score_text(name, scores[name])
        if name == "speedup"
        else f"{titles.short(name)} {titles.score_text(name, scores[name])}"
        for name in names
    )
