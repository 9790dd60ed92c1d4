"""Last lines of a search: results, use of time, and the command to continue."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from search import budget as budgets
from search.engine import time_report as times
from search.results import method_gain
from search.results.run import NO_LOSS, Run, named_points
from search.study.evaluation import INITIAL, strategy_kind

# Kinds of points in words.
KINDS = {
    "found": "found by evolving",
    INITIAL: "initial strategies",
    "baseline": "baselines",
}


def closing_lines(run: Run, seconds: Mapping[str, float], resumed: bool, how: str) -> list[str]:
    """Lines of a search that is exported.

    Args:
        run: run of the search.
        seconds: elapsed seconds of each phase.
        resumed: whether it was resumed.
        how: command that continues it.
    """
    mine = run.config.proposer
    kinds = [strategy_kind(point.origin, point.strategy, mine) for point in run.front()]
    counts = [f"{kinds.count(one)} {words}" for one, words in KINDS.items() if one in kinds]
    found = [f"on the front: {', '.join(counts)}"] if counts else []
    found += [told] if (told := method_gain.no_method_line(run)) else []
    if not any(row.origin == mine for row in run.study.evaluations):
        found.append(
            "the budget was used up by the initial strategies, and nothing was evolved from them"
        )
    paid = times.device(run.study, mine)
    more = budgets.twice(run.config.budget, run.study.spent)
    return [*found, *times.time_lines(seconds, paid, resumed), f"{how} --budget {more}"]


def next_lines(run: Run) -> list[str]:
    """Lines that say where the result is, and the command that chooses one strategy."""
    folder, points = quote(str(run.folder)), run.front()
    place = f"strategies, plots and report.html are in {run.folder}"
    if not points:
        return [place]
    choice = "--no-loss" if NO_LOSS in named_points(points) else "--knee"
    return [
        place,
        f"next: python -m search pick {folder} {choice}    or with: accel.apply(pipe, "
        f"{str(run.folder)!r})",
    ]
