"""Log lines that a kill has lost: on resumption the log gets those that the study has.

A line is written after its record, so a log never has more than the study. Lines of a log that
holds several runs are told apart by their `started` lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search.results.run import Run
from search.study.finalist_notes import FinalistNotes
from search.study.study import Study
from search.tracking.events import EventBus
from search.tracking.json_log import JsonLog, read_events


def send_missing(study: Study, log: JsonLog, folder: Path) -> None:
    """Send a log the evaluations and finalists that it lacks since the run's first line in it.

    Args:
        study: log of the run.
        log: log file of an earlier start of it, or of another run.
        folder: folder of the run.
    """
    rows = _own(log, folder)
    if not rows:
        return
    events = EventBus([log])
    seen = {row.get("number") for row in rows if row["event"] == "evaluation"}
    before = int(rows[0]["evaluations"])
    for count, evaluation in enumerate(study.evaluations, 1):
        if count > before and evaluation.number not in seen:
            events.evaluated(study, evaluation, count)
    told = {(row.get("digest"), row.get("images")) for row in rows if row["event"] == "final"}
    if before == 0:
        for digest, found in FinalistNotes(study).heldout_rows().items():
            if (digest, found.get("images")) not in told:
                events.scored(digest, found)


def ended(run: Run, log: JsonLog) -> None:
    """Send a log of a finished run the events that it lacks, and its end."""
    send_missing(run.study, log, run.folder)
    rows = _own(log, run.folder)
    done = len(run.study.evaluations)
    kept = [row["summary"]["evaluations"] for row in rows if row["event"] == "exported"]
    if not rows or done in kept:
        return
    try:
        summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # Somebody has taken it away, and nothing can be told of it.
    events = EventBus([log])
    events.exported(run.folder, summary)
    events.emit("stopped", reason="finished", front=summary["front"])


def _own(log: JsonLog, folder: Path) -> list[dict[str, Any]]:
    """Lines of a run: those after its own `started` lines, from its latest beginning on."""
    own: list[dict[str, Any]] = []
    ours = False
    if log.path is None or not log.path.exists():
        return own
    for row in read_events(log.path):
        if row["event"] == "started":
            ours = Path(str(row.get("folder"))).absolute() == folder.absolute()
            if ours and not row.get("resumed"):
                own = []
        if ours:
            own.append(row)
    return own
