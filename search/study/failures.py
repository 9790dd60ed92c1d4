"""Candidates that failed, with stage and reason, for summaries, tables and closing lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from search.errors import SearchError
from search.study.evaluation import Evaluation
from search.study.study import Study
from strategies import Strategy

SEARCH, HELD_OUT, END_TO_END = "search", "held-out", "end-to-end"
STAGES = {
    SEARCH: "in the search",
    HELD_OUT: "on held-out prompts",
    END_TO_END: "while timed end to end",
}
# Prefix of a finalist's note, by stage; an `error` in the note says that it failed.
NOTES = {HELD_OUT: "heldout:", END_TO_END: "not-timed:"}
ROW = 10  # Failures of one kind, one right after the other, that stop a search.
NAMED = 20  # Candidates that a line names, at most; files name all.


@dataclass(frozen=True)
class Failure:
    """A candidate that failed.

    Attributes:
        digest, origin, scheduler, steps: the candidate.
        stage: a name in `STAGES`.
        error: reason of the failure.
    """

    digest: str
    origin: str
    scheduler: str
    steps: int
    stage: str
    error: str

    @property
    def name(self) -> str:
        """Short description of the candidate."""
        solver = self.scheduler.removesuffix("Scheduler")
        return f"{self.digest[:12]} ({self.origin}, {solver} {self.steps})"

    def to_json(self) -> dict[str, Any]:
        """The fields, as `summary.json` has them."""
        return asdict(self)


def noted(strategy: Strategy, origin: str, error: str) -> dict[str, Any]:
    """Note of a finalist that failed, as the study keeps it."""
    return {
        "error": error,
        "origin": origin,
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
    }


def failures(study: Study) -> list[Failure]:
    """All failures, stage by stage, in the order in which they happened."""
    rows = study.evaluations
    found = [_failure(e, SEARCH, e.error) for e in rows if not e.succeeded]
    known = {e.strategy.digest: e for e in rows}
    for stage, prefix in NOTES.items():
        for digest, note in study.named(prefix).items():
            if note is None or not note["error"]:
                continue
            if "origin" in note:
                about = note["origin"], note["scheduler"], note["steps"]
                found.append(Failure(digest, *about, stage, note["error"]))
            elif digest in known:  # Noted by a version that kept the error alone.
                found.append(_failure(known[digest], stage, note["error"]))
    return found


def _failure(one: Evaluation, stage: str, error: str) -> Failure:
    strategy = one.strategy
    return Failure(
        strategy.digest, one.origin, strategy.scheduler, strategy.steps, stage, error
    )  # fmt: skip


def finalists(study: Study, *stages: str) -> set[str]:
    """Digests of the finalists that failed.

    Args:
        study: log of the run.
        stages: stages at which they failed; none given means any.
    """
    return {one.digest for one in failures(study) if one.stage in (stages or NOTES)}


def failure_kind(error: str) -> str:
    """Kind of an error: its text without numbers and names, so that equal causes compare equal."""
    return re.sub(r"0x[0-9a-f]+|[0-9a-f]{12,}|-?\d+(?:\.\d+)?|-?\b(?:nan|inf)\b", "#", error)


def failure_lines(found: Iterable[Failure]) -> list[str]:
    """One line for each stage and kind of failure, with the candidates' names."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for one in found:
        groups.setdefault((one.stage, failure_kind(one.error)), []).append(one)
    return [_line(stage, rows) for (stage, _), rows in groups.items()]


def _line(stage: str, rows: list[Failure]) -> str:
    names = ", ".join(one.name for one in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{len(rows)} failed {STAGES[stage]}: {rows[0].error}: {names}{more}"


def see_that_any_succeeded(study: Study, folder: Path) -> None:
    """Raise an error if every candidate of a search failed.

    Raises:
        SearchError: every candidate failed; the error gives the last one's reason.
    """
    rows = study.evaluations
    if rows and not any(row.succeeded for row in rows):
        raise SearchError(
            f"all {len(rows)} candidates of the search failed, the last one: {rows[-1].error}; "
            "fix that and start a new run, or continue with: python -m search --resume "
            f"{quote(str(folder))} --budget MORE"
        )


def forget_if_all(study: Study) -> None:
    """Allow the finalists to be tried again if an earlier start could score none of them."""
    heldout, timed = (finalists(study, stage) for stage in NOTES)
    scored = {digest for digest, note in study.named(NOTES[HELD_OUT]).items() if note is not None}
    if scored - (heldout | timed):
        return
    for stage, digests in ((HELD_OUT, heldout), (END_TO_END, timed)):
        for digest in sorted(digests):
            name = f"{NOTES[stage]}{digest}"
            study.enter(name, {name: None}, study.seconds(name))


def none_left(study: Study, folder: Path) -> str:
    """Message for a run in which no finalist could be scored."""
    rows = [one for one in failures(study) if one.stage != SEARCH]
    return (
        f"no finalist could be scored: {'; '.join(failure_lines(rows))}; nothing is exported. "
        f"Fix that and continue with: python -m search --resume {quote(str(folder))}"
    )


class FailureStreak:
    """Consecutive failures of one kind.

    Many of them in a row mean that something other than the candidates is broken.
    """

    def __init__(self) -> None:
        self._kind, self._count = "", 0

    def saw(self, evaluation: Evaluation) -> str:
        """Take in a finished evaluation; returns why the search has to stop, or an empty text."""
        now = "" if evaluation.succeeded else failure_kind(evaluation.error)
        self._count = self._count + 1 if now and now == self._kind else int(bool(now))
        self._kind = now
        if self._count < ROW:
            return ""
        last = _failure(evaluation, SEARCH, "").name
        return f"{ROW} candidates in a row failed alike, the last being {last}: {evaluation.error}"
