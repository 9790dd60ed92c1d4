"""`--resume` of a finished run: there is nothing left to do, and nothing is changed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shlex import quote

from search import budget as budgets
from search.config import SearchConfig
from search.results import run as runs
from search.results.run import Run
from search.study import run_lock as lock
from strategies import StrategyError


class NothingLeftError(Exception):
    """A run that has done all that is asked for; the message says how to continue it."""


def check_unfinished(
    folder: Path, before: SearchConfig, asked: SearchConfig, url: str | None
) -> None:
    """Check that a run has something left to do, before its model is loaded.

    Args:
        folder: folder of the run.
        before: settings of the run.
        asked: settings that it is to continue with.
        url: URL of its database, if it was given again.

    Raises:
        NothingLeftError: the run is finished, and no more is asked for than it has done.
        StrategyError: a search is running in the folder.
    """
    lock.check_free(folder)
    run = None
    with suppress(StrategyError):  # What is wrong with it is said where it is opened.
        run = runs.load_run(folder, url)
    if run is None or run.state != "finished" or asked.export != before.export:
        return
    if _asks_for_more(run, before, asked):
        return
    spent, done = run.study.spent, len(run.study.evaluations)
    raise NothingLeftError(
        f"{folder} is finished and was left as it is: {done} evaluations, {spent / 60:.1f} min of "
        f"device time, budget {before.budget}. To continue, give it more: python -m search "
        f"--resume {quote(str(folder))} --budget {budgets.twice(before.budget, spent)}"
    )


def _asks_for_more(run: Run, before: SearchConfig, asked: SearchConfig) -> bool:
    old, new = budgets.parse_budget(before.budget), budgets.parse_budget(asked.budget)
    if new.seconds is not None:
        return new.seconds > (run.study.spent if old.seconds is None else old.seconds)
    assert new.evaluations is not None
    return new.evaluations > (old.evaluations or len(run.study.evaluations))
