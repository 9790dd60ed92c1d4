"""What happens in a search, told to whoever listens: log lines and experiment trackers.

`docs/events.md` lists the events and their fields, which are plain JSON.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from search.proposers.proposal import Proposal
from search.study.archive import Best
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from search.study.study import Study

SCHEMA = 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: such as `evaluation`.
        data: its fields, plain JSON without NaN.
        time: of the day, in UTC.
    """

    kind: str
    data: Mapping[str, Any]
    time: str = field(default_factory=_now)

    def to_json(self) -> dict[str, Any]:
        """As one flat object."""
        return {"schema": SCHEMA, "event": self.kind, "time": self.time, **self.data}


class Listener(Protocol):
    """Takes events as they come; `close` is called after the last."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class Events:
    """Tells every listener; one that fails is left out from then on, and the search goes on.

    Args:
        listeners: to tell.
    """

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self._listeners = list(listeners)
        self._best = Best()

    def emit(self, kind: str, **data: Any) -> None:
        """Tell of an event; numbers that are not finite become None."""
        event = Event(kind, _plain(data))
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception as error:  # Whatever a tracker does, the search goes on.
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
        """The search is about to begin or go on.

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
        """A candidate is scored on more images."""
        self.emit(
            "promoted",
            number=proposal.number,
            digest=proposal.strategy.digest,
            images=proposal.images,
            images_before=proposal.drawn,
        )

    def evaluated(self, study: Study, evaluation: Evaluation, finished: int | None = None) -> None:
        """An evaluation has finished.

        Args:
            study: of the search.
            evaluation: which.
            finished: how many had finished with it; by default all that the study has.
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
        """A finalist has been scored on held-out prompts."""
        self.emit(
            "final",
            digest=digest,
            images=found.get("images"),
            scores=found.get("scores", {}),
            intervals=found.get("intervals", {}),
            error=found["error"],
        )

    def exported(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """The front has been written."""
        files = sorted(path.name for path in (folder / "strategies").glob("*.json"))
        self.emit("exported", folder=str(folder), files=files, summary=dict(summary))

    def close(self) -> None:
        """No event comes any more."""
        while self._listeners:
            self._listeners.pop().close()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
