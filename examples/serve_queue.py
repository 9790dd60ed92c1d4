"""The queue of `examples/serve.py`: a thread that generates waiting requests in batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from serve_metrics import Metrics

import accel
from accel.models import calls

NONE = "none"  # Name of the unaccelerated pipeline in requests.


class FullError(Exception):
    """So many requests wait that another one is refused."""


class CompilingError(Exception):
    """Not all strategies are compiled yet."""


@dataclass(frozen=True, eq=False)
class Job:
    """A request that waits: its settings, its arrival and the place of its image."""

    prompt: str
    seed: int
    key: tuple[str, float | None]  # Strategy and guidance, which all images of a batch share.
    arrived: float = field(default_factory=time.monotonic)
    done: Future[Any] = field(default_factory=Future)


class Server:
    """One pipeline, a queue, and a thread that generates batches of one strategy.

    Args:
        pipe: diffusers pipeline; nothing else may use it meanwhile.
        strategies: everything that `accel.apply` takes, by name.
        batch: largest number of images of a batch.
        most: largest number of waiting requests; another one is refused.
        steps: number of steps where a strategy does not say it: of rules and unaccelerated.
        settings: further arguments of the pipeline's call.
        compiled: whether the denoiser is compiled. Each strategy is then generated once before
            requests are taken, and every batch is filled up to `batch`: another number of images
            would be compiled again.
    """

    def __init__(
        self,
        pipe: Any,
        strategies: Mapping[str, Any],
        batch: int = 4,
        most: int = 1000,
        steps: int | None = None,
        settings: Mapping[str, Any] | None = None,
        compiled: bool = False,
    ) -> None:
        accel.apply(pipe, strategies)
        self.names = [*strategies, NONE]
        self.metrics = Metrics()
        self._pipe, self._batch, self._most = pipe, batch, most
        self._steps, self._settings = steps, dict(settings or {})
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._compiled, self._began = compiled, time.monotonic()
        self._uncompiled = deque(self.names if compiled else ())
        self._failed: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, name="generate")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._jobs)

    @property
    def health(self) -> dict[str, Any]:
        """Whether requests are taken, else which strategy is being compiled."""
        waiting = list(self._uncompiled)
        if not waiting:
            return {"status": "ready", "failed": self._failed}
        return {
            "status": "compiling",
            "strategy": waiting[0],
            "done": len(self.names) - len(waiting),
            "of": len(self.names),
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def submit(
        self, prompt: str, strategy: str, seed: int, guidance: float | None = None
    ) -> Future[Any]:
        """Put a request into the queue; the future gets its image.

        Raises:
            CompilingError: not all strategies are compiled yet.
            FullError: too many requests wait, or the server is closed.
            KeyError: there is no such strategy.
        """
        if strategy not in self.names:
            raise KeyError(strategy)
        if self._uncompiled:
            self.metrics.count(strategy, "refused")
            raise CompilingError
        job = Job(prompt, seed, (strategy, guidance))
        with self._changed:
            if not self._open or len(self._jobs) >= self._most:
                self.metrics.count(strategy, "refused")
                raise FullError
            self._jobs.append(job)
            self._changed.notify()
        return job.done

    def close(self) -> None:
        """Finish the waiting requests, take no more, and remove the strategies."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()
        accel.remove(self._pipe)

    def _work(self) -> None:
        while self._open and self._uncompiled:
            self._warm_up(self._uncompiled[0])
            self._uncompiled.popleft()
        while True:
            with self._changed:
                while self._open and not self._jobs:
                    self._changed.wait()
                if not self._jobs:
                    return
                jobs = self._take()
            jobs = [job for job in jobs if job.done.set_running_or_notify_cancel()]
            if jobs:
                self._generate(jobs)

    def _take(self) -> list[Job]:
        """The request that waits longest, and those that may share its batch, in their order."""
        first = self._jobs[0]
        taken = [job for job in self._jobs if job.key == first.key][: self._batch]
        self._jobs = deque(job for job in self._jobs if job not in taken)
        return taken

    def _warm_up(self, strategy: str) -> None:
        """Generate one batch, which compiles every kind of call of a strategy."""
        began = time.monotonic()
        try:
            self._images([Job("warm-up", 0, (strategy, None))])
        except Exception as error:  # Its requests will fail; the other strategies work.
            self._failed[strategy] = f"{type(error).__name__}: {error}"
            print(f"{strategy} cannot be compiled: {self._failed[strategy]}", flush=True)
            return
        seconds = time.monotonic() - began
        self.metrics.compiled_in(strategy, seconds)
        done = len(self.names) - len(self._uncompiled) + 1
        print(f"compiled {strategy} in {seconds:.0f} s ({done} of {len(self.names)})", flush=True)

    def _images(self, jobs: list[Job]) -> list[Any]:
        """Images of one batch."""
        strategy, guidance = jobs[0].key
        given = dict(self._settings)
        if guidance is not None:
            given[calls.guidance_word(self._pipe) or "guidance_scale"] = guidance
        fast = accel.choose(self._pipe, None if strategy == NONE else strategy)
        if fast.strategy is None and self._steps is not None:
            given["num_inference_steps"] = self._steps
        rest = self._batch - len(jobs) if self._compiled else 0
        every = jobs + jobs[-1:] * rest
        images: list[Any] = fast(
            prompt=[job.prompt for job in every],
            generator=[torch.Generator().manual_seed(job.seed) for job in every],
            **given,
        ).images
        return images[: len(jobs)]

    def _generate(self, jobs: list[Job]) -> None:
        strategy = jobs[0].key[0]
        try:
            images = self._images(jobs)
        except Exception as error:  # The requests of this batch fail, the service goes on.
            for job in jobs:
                self.metrics.count(strategy, "failed")
                job.done.set_exception(error)
            return
        now = time.monotonic()
        self.metrics.generated(strategy, [now - job.arrived for job in jobs])
        for job, image in zip(jobs, images, strict=True):
            job.done.set_result(image)
