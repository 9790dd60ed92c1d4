"""Log lines that a kill has cost: what the study has and the log has not is told on resumption.

A line follows its record, so a log never has what the study has not. Lines of a log that holds
several runs are told apart by their `started` lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.events import Events
from search.finalists import HELDOUT
from search.log import JsonLog, read
from search.study import Study


def missing(study: Study, log: JsonLog, folder: Path) -> None:
    """Tell a log which evaluations and finalists it lacks since the run's first line in it.

    Args:
        study: of the run.
        log: of an earlier start of it, or of another run.
        folder: of the run.
    """
    rows = [] if log.path is None or not log.path.exists() else _own(read(log.path), folder)
    if not rows:
        return
    events = Events([log])
    seen = {row.get("number") for row in rows if row["event"] == "evaluation"}
    before = int(rows[0]["evaluations"])
    for count, evaluation in enumerate(study.evaluations, 1):
        if count > before and evaluation.number not in seen:
            events.evaluated(study, evaluation, count)
    told = {row.get("digest") for row in rows if row["event"] == "final"}
    if before == 0:
        for digest, found in study.named(HELDOUT).items():
            if digest not in told:
                events.scored(digest, found)


def _own(rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The lines of a run: what follows its own `started` lines, from its latest beginning on."""
    own: list[dict[str, Any]] = []
    ours = False
    for row in rows:
        if row["event"] == "started":
            ours = Path(str(row.get("folder"))).absolute() == folder.absolute()
            if ours and not row.get("resumed"):
                own = []
        if ours:
            own.append(row)
    return own
