"""Last lines of a search: results, use of time, and the command to continue."""

from __future__ import annotations

from search import budget as budgets
from search.engine import time_report as times
from search.engine.engine import Engine
from search.results import run as runs
from search.study.evaluation import kind

# Kinds of points in words.
KINDS = {"found": "found by evolving", "seed": "seeds of the search", "baseline": "baselines"}


def lines(engine: Engine, resumed: bool, how: str) -> list[str]:
    """Lines of a search that is exported.

    Args:
        engine: the search.
        resumed: whether it was resumed.
        how: command that continues it.
    """
    run, mine = runs.Run(engine.folder, engine.config, engine.study), engine.config.proposer
    kinds = [kind(point.origin, point.strategy, mine) for point in run.front()]
    counts = [f"{kinds.count(one)} {words}" for one, words in KINDS.items() if one in kinds]
    found = [f"on the front: {', '.join(counts)}"] if counts else []
    if not any(row.origin == mine for row in engine.study.evaluations):
        found.append("the budget was used up by the seeds, and nothing was evolved from them")
    paid = times.device(engine.study, mine)
    more = budgets.twice(engine.config.budget, engine.study.spent)
    return [*found, *times.lines(engine.clock.seconds, paid, resumed), f"{how} --budget {more}"]
