"""Pool: many workers as one executor.

Workers join when there is room for them, also later, and are replaced when they die. The request
of a worker that dies goes to another one (`search.workers.failures`). A request that takes longer
than its limit is cancelled at once, together with its worker.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from search.errors import WorkersLostError
from search.workers.backend import PooledWorker, WorkerBackend, WorkerDiedError
from search.workers.executor import Answer, Executor, timed_out
from search.workers.failures import MAX_DEATHS_IN_A_ROW, WorkerFailures, lost_workers_message
from search.workers.messages import A, AnyRequest, AnyResponse, Request, Response
from strategies import StrategyError

POLL_SECONDS = 5.0  # Seconds between two looks at whether anything has hung.
STARTUP_GRACE_SECONDS = 60.0  # Seconds to wait for further workers once one is ready.
NODE_LOSS_SECONDS = 30.0  # Seconds that it may take until a machine is known to be gone.


class WorkerPool(Executor):
    """A pool of workers.

    Args:
        backend: interface that starts and calls them.
        workers: number of workers, at most.
    """

    def __init__(self, backend: WorkerBackend, workers: int) -> None:
        self._backend, self._workers, self._device = backend, workers, ""
        self._members: list[PooledWorker] = []
        self._pending: dict[Any, PooledWorker] = {}
        self._again: deque[AnyRequest] = deque()
        self._done: deque[Answer | None] = deque()
        self._failures = WorkerFailures()
        # Given up, but not told before a worker is known to be sound: else the device is to blame.
        self._verdicts: list[Answer] = []
        self._quiet = self._opened = False

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Workers that are ready, and at most as many as are used."""
        ready = sum(member.state in ("idle", "busy") for member in self._members)
        return ready if self.most is None else min(ready, self.most)

    def open(self) -> str:
        """Start workers; wait for as many as there is room for.

        Once the first one is there, the wait is `STARTUP_GRACE_SECONDS` at most.

        Raises:
            StrategyError: they are on devices of different kinds, or cannot load the model.
        """
        while len(self._members) < self._workers:
            self._join()
        wanted, since = max(1, min(self._workers, self._backend.capacity())), 0.0
        while (ready := self.slots) < wanted:
            since = since or (self._backend.now() if ready else 0.0)
            if since and self._backend.now() - since > STARTUP_GRACE_SECONDS:
                break
            self.report(f"starting workers, {ready} of {wanted} ready")
            self._wait()
        self._opened = True
        self._done.clear()
        return self._device

    def _join(self) -> None:
        member = PooledWorker(self._backend.start())
        self._members.append(member)
        self._call(member, "placing", "place")

    def _call(self, member: PooledWorker, state: str, method: str, *arguments: Any) -> None:
        member.state, member.began = state, self._backend.now()
        self._pending[self._backend.call(member.handle, method, *arguments)] = member

    def _load(self) -> None:
        """Let workers that have a place load the model, unless a request needs to run alone."""
        for member in self._members:
            if member.state == "placed" and not (self._quiet and self.slots):
                self._call(member, "loading", "load")

    def submit(self, request: AnyRequest) -> None:
        self._again.append(request)
        self._dispatch()

    def _dispatch(self) -> None:
        for member in reversed(self._members):
            if member.state == "idle" and self._again:
                member.request = self._again.popleft()
                self._call(member, "busy", "answer", member.request)

    def next(self) -> Answer | None:
        while not self._done:
            self._wait()
        return self._done.popleft()

    def run_exclusive(self, request: Request[A]) -> Response[A]:
        """Also waits until no worker is loading its model, and lets none begin meanwhile."""
        while any(m.state in ("busy", "loading") for m in self._members) or not self.slots:
            self._wait()
        held, self._done = self._done, deque()
        self._quiet = True
        self.submit(request)
        while not any(self._done):
            self._wait()
        self._quiet = False
        self._load()
        found = next(answer for answer in self._done if answer is not None)
        self._done = held
        return found[1]

    def _wait(self) -> None:
        """Handle the next event: a place, a loaded model, an answer or a death."""
        ended = self._backend.wait(self._pending.keys(), self._patience())
        if ended is None:
            self._cancel_overdue()
            if not self.slots:
                self.report("waiting for a worker to be ready")
        else:
            member = self._pending.pop(ended)
            try:
                value = self._backend.result(ended)
            except WorkerDiedError as death:
                self._died(member, str(death))
            else:
                self._on_result(member, value)
        self._load()
        self._dispatch()

    def _patience(self) -> float:
        now = self._backend.now()
        ends = [
            member.began + member.request.time_limit - now
            for member in self._members
            if member.request is not None and member.request.time_limit is not None
        ]
        return max(0.0, min([POLL_SECONDS, *ends]))

    def _on_result(self, member: PooledWorker, value: Any) -> None:
        if member.state == "placing":
            member.state, member.node = "placed", value
        elif member.state == "loading":
            self._device = self._device or value
            member.state = "idle"
            if value != self._device:
                self._other(member, value)
            elif self._verdicts:
                self._examine(member)
            self._done.append(None)
        else:
            self._answered(member, value)

    def _answered(self, member: PooledWorker, outcome: AnyResponse) -> None:
        assert member.request is not None
        request, member.request, member.state = member.request, None, "idle"
        if request is self.check:
            self._checked(member, outcome)
        elif outcome.error and self.check is not None:
            member.suspect = request, outcome
            self._examine(member)
        else:
            self._tell(request, outcome)

    def _examine(self, member: PooledWorker) -> None:
        """Send a worker the check before any other request."""
        assert self.check is not None
        member.request = self.check
        self._call(member, "busy", "answer", self.check)

    def _checked(self, member: PooledWorker, outcome: AnyResponse) -> None:
        if outcome.error:
            self._broke(member, outcome)
            return
        suspect, member.suspect = member.suspect, None
        if suspect is not None:
            request, failed = suspect
            self._tell(request, replace(failed, seconds=failed.seconds + outcome.seconds))
        else:
            self._sound()

    def _broke(self, member: PooledWorker, check: AnyResponse) -> None:
        """Replace a worker that fails the check, and repeat the request that it failed."""
        suspect, member.suspect, member.request = member.suspect, None, None
        self._remove(member)
        request, failed = suspect if suspect is not None else (None, check)
        seconds = check.seconds + (failed.seconds if suspect else 0.0)
        key = request.key if request else None
        self._failures.broke(member.node, key, seconds, failed.error)
        self._again_or_never(request, check.error)

    def _tell(self, request: AnyRequest, outcome: AnyResponse) -> None:
        """Hand on an answer of a sound worker."""
        self._sound()
        lost = self._failures.pop_lost_seconds(request.key)
        self._done.append((request, replace(outcome, seconds=outcome.seconds + lost)))

    def _sound(self) -> None:
        """A worker is known to be sound, so requests that were given up are themselves to blame."""
        self._failures.record_answer()
        self._done.extend(self._verdicts)
        self._verdicts.clear()

    def _other(self, member: PooledWorker, device: str) -> None:
        """A worker on another kind of device than the first: an error at the start, else unused."""
        if not self._opened:
            raise StrategyError(
                f"the workers' devices differ: {self._device} and {device}; latency is of one kind "
                "of device, so give a cluster of one kind, or fewer --workers"
            )
        # It stays, so that its place is not tried again and again.
        member.state = "apart"
        self.report(f"leaving out a worker on another device ({device})")

    def _died(self, member: PooledWorker, reason: str) -> None:
        if reason:
            self.report(f"replacing a worker: {reason}")
        request, elapsed = member.request, self._backend.now() - member.began
        if request is self.check:
            request = member.suspect[0] if member.suspect else None
        self._remove(member)
        key = request.key if request else None
        self._failures.record_death(member.node, key, elapsed, reason)
        self._again_or_never(request)

    def _again_or_never(self, request: AnyRequest | None, error: str = "") -> None:
        """Repeat a request whose worker died, unless too many have died of it."""
        if self._failures.should_abort(self._backend.alive()):
            self._backend.pause(NODE_LOSS_SECONDS)
            if self._failures.should_abort(self._backend.alive()):
                raise WorkersLostError(lost_workers_message(MAX_DEATHS_IN_A_ROW, error))
        if request is None:
            return
        if not self._failures.should_quarantine(request.key, self._backend.alive()):
            self._again.appendleft(request)
            return
        seconds = self._failures.pop_lost_seconds(request.key)
        given_up: AnyResponse = Response(None, self._failures.verdict(request.key), seconds)
        answer = request, given_up
        if self.check is None:
            self._done.append(answer)
        else:
            self._verdicts.append(answer)

    def _remove(self, member: PooledWorker) -> None:
        """Replace a worker that is dead or has to be ended."""
        self._backend.kill(member.handle)
        self._members.remove(member)
        self._done.append(None)
        self._join()

    def _cancel_overdue(self) -> None:
        """Cancel requests that are over their limits, and end their workers."""
        now = self._backend.now()
        for ref, member in list(self._pending.items()):
            request = member.request
            if (
                request is None
                or request.time_limit is None
                or now - member.began < request.time_limit
            ):
                continue
            del self._pending[ref]
            if request is self.check:
                self._broke(member, timed_out(request, now - member.began))
                continue
            self._remove(member)
            lost = self._failures.pop_lost_seconds(request.key)
            self._done.append((request, timed_out(request, now - member.began + lost)))

    def close(self) -> None:
        for member in self._members:
            self._backend.kill(member.handle)
        self._members.clear()  # Ray starts again for who calls it after its end.
        self._backend.close()
