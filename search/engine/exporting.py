"""Summary of a finished search."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from search.engine import time_report
from search.objectives.objectives import Objectives
from search.results import export
from search.results.run import Run
from search.study.reference_point import worst


def summarise_search(
    run: Run,
    initial: Collection[str],
    objectives: Objectives,
    seconds: Mapping[str, float],
    unscored: int,
) -> dict[str, Any]:
    """The summary of a finished search; see `search.results.export.summarise`.

    Args:
        run: the run with its finalists.
        initial: digests of the initial strategies.
        objectives: objectives and constraints of the search.
        seconds: elapsed seconds of each phase.
        unscored: number of finalists that the budget did not suffice for.
    """
    heldout = objectives.compared_with(run.unaccelerated.scores)
    reference = worst(heldout.reference_point, heldout.unscaled, run.study.evaluations)
    paid = time_report.device(run.study, run.config.proposer)
    times = time_report.time_table(seconds, paid)
    return export.summarise(run, initial, reference, times, unscored)
