"""Events of a search, sent to listeners: log lines and experiment trackers.

`docs/events.md` lists the events and their fields, which are plain JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from search.proposers.proposal import Proposal
from search.study.archive import ParetoArchive
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from search.study.study import Study
from strategies.data_files.finite import finite

SCHEMA = 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Event:
    """One event of a search.

    Attributes:
        kind: name of the event, such as `evaluation`.
        data: fields of the event, plain JSON without NaN.
        time: time of the event, in UTC.
    """

    kind: str
    data: Mapping[str, Any]
    time: str = field(default_factory=_now)

    def to_json(self) -> dict[str, Any]:
        """The event as one flat object."""
        return {"schema": SCHEMA, "event": self.kind, "time": self.time, **self.data}


class EventListener(Protocol):
    """Receiver of events; `close` is called after the last one."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class EventBus:
    """Sender of events; a listener that fails is left out from then on, and the search continues.

    Args:
        listeners: receivers of the events.
    """

    def __init__(self, listeners: Sequence[EventListener] = ()) -> None:
        self._listeners = list(listeners)
        self._best = ParetoArchive()

    def emit(self, kind: str, **data: Any) -> None:
        """Send an event to all listeners; numbers that are not finite become None."""
        event = Event(kind, finite(data))
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception as error:  # Whatever a tracker does, the search continues.
                self._listeners.remove(listener)
                reason = " ".join(str(error).split())
                print(
                    f"warning: {type(listener).__name__} failed and is left out from here on: "
                    f"{type(error).__name__}: {reason}",
                    file=sys.stderr,
                )

    def started(
        self, folder: Path, study: Study, settings: Mapping[str, Any], resumed: bool
    ) -> None:
        """Send that the search begins or continues.

        Args:
            folder: folder of the run.
            study: log of the run.
            settings: settings of the search, as plain JSON.
            resumed: whether the run was there before.
        """
        self.emit(
            "started",
            folder=str(folder),
            resumed=resumed,
            evaluations=len(study.evaluations),
            spent_s=study.spent,
            config=settings,
        )

    def promoted(self, proposal: Proposal) -> None:
        """Send that a candidate is scored on more images."""
        self.emit(
            "promoted",
            number=proposal.number,
            digest=proposal.strategy.digest,
            images=proposal.images,
            images_before=proposal.drawn,
        )

    def evaluated(self, study: Study, evaluation: Evaluation, finished: int | None = None) -> None:
        """Send that an evaluation has finished.

        Args:
            study: log of the run.
            evaluation: the evaluation.
            finished: number of evaluations that had finished then; by default all of the study.
        """
        if not self._listeners:
            return
        count = finished or len(study.evaluations)
        worst = Measurements(study).reference_point
        on_front = [row.number for row in self._best.read(study.evaluations[:count]).front]
        self.emit(
            "evaluation",
            number=evaluation.number,
            origin=evaluation.origin,
            digest=evaluation.strategy.digest,
            scheduler=evaluation.strategy.scheduler,
            steps=evaluation.strategy.steps,
            images=evaluation.images,
            scores=dict(evaluation.scores),
            error=evaluation.error,
            violation=evaluation.violation,
            seconds=evaluation.seconds,
            on_front=evaluation.number in on_front,
            evaluations=count,
            spent_s=study.spent,
            front=len(on_front),
            hypervolume=self._best.hypervolume(worst) if worst else None,
        )

    def scored(self, digest: str, found: Mapping[str, Any]) -> None:
        """Send that a finalist has been scored on held-out prompts."""
        self.emit(
            "final",
            digest=digest,
            images=found.get("images"),
            scores=found.get("scores", {}),
            intervals=found.get("intervals", {}),
            error=found["error"],
        )

    def exported(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """Send that the front has been written."""
        files = sorted(path.name for path in (folder / "strategies").glob("*.json"))
        self.emit("exported", folder=str(folder), files=files, summary=dict(summary))

    def close(self) -> None:
        """Close all listeners."""
        while self._listeners:
            self._listeners.pop().close()
