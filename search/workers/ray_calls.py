"""Calls of a worker's processes on Ray: their ends and their results.

A worker has one process or several, which get the same calls. A call ends when all of them have
answered. It also ends when one has died, or has failed while the others wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from search.workers.backend import WorkerDiedError
from search.workers.messages import Response
from strategies import StrategyError
from strategies.data_files.whole import UnwritableError

GRACE_SECONDS = 30.0  # Seconds that processes may go on after one of their group has failed.


class WorkerCall:
    """A call of all processes of a worker.

    Args:
        answers: Ray's reference to each process's answer, the leader's first.

    Attributes:
        waiting: references to the answers that are not there yet.
    """

    def __init__(self, answers: Sequence[Any]) -> None:
        self._all, self.waiting = list(answers), list(answers)
        self._values: dict[Any, Any] = {}
        self._errors: dict[Any, RayError] = {}
        self._until = inf

    def take(self, answer: Any, now: float) -> None:
        """Take in an answer that is there."""
        self.waiting.remove(answer)
        try:
            self._values[answer] = value = ray.get(answer)
        except RayError as error:
            self._errors[answer] = error
            self._until = min(self._until, now + GRACE_SECONDS)
        else:
            if isinstance(value, Response) and value.error:
                self._until = min(self._until, now + GRACE_SECONDS)

    def has_ended(self, now: float) -> bool:
        """Whether nothing more is to be waited for."""
        return not self.waiting or self._death() is not None or now > self._until

    def result(self) -> Any:
        """Answer of the worker: the leader's value, and the device time of all processes.

        Raises:
            WorkerDiedError: a process died, or the others hang because one has failed.
            StrategyError: a process cannot be used.
        """
        died = self._death()
        if died is not None:
            raise WorkerDiedError(self._named(died, "died"))
        for error in self._errors.values():
            assert isinstance(error, RayTaskError)
            if isinstance(error.cause, UnwritableError):
                raise error.cause from None
            reason = str(error.cause).splitlines() or [type(error.cause).__name__]
            raise StrategyError(f"a worker cannot be used: {reason[0]}") from None
        values = [self._values[answer] for answer in self._all if answer in self._values]
        if not isinstance(values[0], Response):
            # Processes on devices of two kinds are of no one kind.
            return " and ".join(dict.fromkeys(values))
        failed = next((one.error for one in values if one.error), "")
        if self.waiting:
            first = next(a for a in self._all if a in self._values and self._values[a].error)
            raise WorkerDiedError(self._named(first, f"failed ({failed}) and left the others"))
        value = None if failed else values[0].value
        return Response(value, failed, sum(one.seconds for one in values))

    def _death(self) -> Any:
        """Reference to the answer of a process that has died, if any."""
        dead = (a for a, error in self._errors.items() if not isinstance(error, RayTaskError))
        return next(dead, None)

    def _named(self, answer: Any, fate: str) -> str:
        """The fate of a process of a group; nothing of a process that is alone."""
        if len(self._all) == 1:
            return ""
        return f"process {self._all.index(answer) + 1} of its {len(self._all)} {fate}"
