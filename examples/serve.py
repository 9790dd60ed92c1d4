"""Serve a pipeline at several speeds with FastAPI: one process, one queue, a strategy per request.

    pip install 'diffusion-stratagem[serve]'
    python examples/serve.py --strategy fast=deepcache-n5 --strategy good=deepcache-n2
    curl localhost:8000/generate -o x.png --json '{"prompt": "a red circle", "strategy": "fast"}'

All strategies stay attached to one pipeline. A thread takes waiting requests of one strategy as a
batch. Each image has the noise of its own seed, so it does not depend on its batch.
`GET /metrics` has counts and latencies of each strategy in the text format of Prometheus.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

import accel
from accel.models import calls
from accel.models.loading import default_device, quiet
from accel.models.resolve import open_model
from strategies import StrategyError

NONE = "none"  # Name of the unaccelerated pipeline in requests.
BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # Seconds, of the latency histogram.


class FullError(Exception):
    """So many requests wait that another one is refused."""


@dataclass(frozen=True, eq=False)
class Job:
    """A request that waits: its settings, its arrival and the place of its image."""

    prompt: str
    seed: int
    key: tuple[str, float | None]  # Strategy and guidance, which all images of a batch share.
    arrived: float = field(default_factory=time.monotonic)
    done: Future[Any] = field(default_factory=Future)


class Metrics:
    """Counts and latencies of each strategy; only the worker thread and the lock holder write."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.batches: Counter[str] = Counter()
        self.latencies: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self.seconds: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, strategy: str, outcome: str) -> None:
        """Count a request."""
        with self._lock:
            self.requests[strategy, outcome] += 1

    def generated(self, strategy: str, latencies: list[float]) -> None:
        """Count a batch that is done, with the seconds from the arrival of each request."""
        with self._lock:
            self.batches[strategy] += 1
            for seconds in latencies:
                self.requests[strategy, "ok"] += 1
                self.seconds[strategy] += seconds
                place = sum(seconds > bound for bound in BOUNDS)
                self.latencies[strategy][place] += 1

    def text(self, waiting: int) -> str:
        """The text format of Prometheus."""
        with self._lock:
            lines = ["# TYPE stratagem_waiting gauge", f"stratagem_waiting {waiting}"]
            lines.append("# TYPE stratagem_requests_total counter")
            for (name, outcome), count in sorted(self.requests.items()):
                labels = f'strategy="{name}",outcome="{outcome}"'
                lines.append(f"stratagem_requests_total{{{labels}}} {count}")
            lines.append("# TYPE stratagem_batches_total counter")
            for name, count in sorted(self.batches.items()):
                lines.append(f'stratagem_batches_total{{strategy="{name}"}} {count}')
            lines.append("# TYPE stratagem_latency_seconds histogram")
            for name, counts in sorted(self.latencies.items()):
                total = 0
                for bound, count in zip((*BOUNDS, "+Inf"), counts, strict=True):
                    total += count
                    labels = f'strategy="{name}",le="{bound}"'
                    lines.append(f"stratagem_latency_seconds_bucket{{{labels}}} {total}")
                labels = f'{{strategy="{name}"}}'
                lines.append(f"stratagem_latency_seconds_sum{labels} {self.seconds[name]:.6f}")
                lines.append(f"stratagem_latency_seconds_count{labels} {total}")
        return "\n".join(lines) + "\n"


class Server:
    """One pipeline, a queue, and a thread that generates batches of one strategy.

    Args:
        pipe: diffusers pipeline; nothing else may use it meanwhile.
        strategies: everything that `accel.apply` takes, by name.
        batch: largest number of images of a batch.
        most: largest number of waiting requests; another one is refused.
        steps: number of steps where a strategy does not say it: of rules and unaccelerated.
        settings: further arguments of the pipeline's call.
    """

    def __init__(
        self,
        pipe: Any,
        strategies: Mapping[str, Any],
        batch: int = 4,
        most: int = 1000,
        steps: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        accel.apply(pipe, strategies)
        self.names = [*strategies, NONE]
        self.metrics = Metrics()
        self._pipe, self._batch, self._most = pipe, batch, most
        self._steps, self._settings = steps, dict(settings or {})
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._work, name="generate")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._jobs)

    def submit(
        self, prompt: str, strategy: str, seed: int, guidance: float | None = None
    ) -> Future[Any]:
        """Put a request into the queue; the future gets its image.

        Raises:
            FullError: too many requests wait, or the server is closed.
            KeyError: there is no such strategy.
        """
        if strategy not in self.names:
            raise KeyError(strategy)
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

    def _generate(self, jobs: list[Job]) -> None:
        strategy, guidance = jobs[0].key
        given = dict(self._settings)
        if guidance is not None:
            given[calls.guidance_word(self._pipe) or "guidance_scale"] = guidance
        try:
            fast = accel.choose(self._pipe, None if strategy == NONE else strategy)
            if fast.strategy is None and self._steps is not None:
                given["num_inference_steps"] = self._steps
            images = fast(
                prompt=[job.prompt for job in jobs],
                generator=[torch.Generator().manual_seed(job.seed) for job in jobs],
                **given,
            ).images
        except Exception as error:  # The requests of this batch fail, the service goes on.
            for job in jobs:
                self.metrics.count(strategy, "failed")
                job.done.set_exception(error)
            return
        now = time.monotonic()
        self.metrics.generated(strategy, [now - job.arrived for job in jobs])
        for job, image in zip(jobs, images, strict=True):
            job.done.set_result(image)


class Request(BaseModel):
    """Body of `POST /generate`."""

    prompt: str = Field(min_length=1, max_length=2000)
    strategy: str
    seed: int = Field(default=0, ge=0, lt=2**62)
    guidance: float | None = Field(default=None, ge=0, le=100)


def app(server: Server) -> FastAPI:
    """The web application of a server; it closes the server at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.close)

    made = FastAPI(title="Stratagem", lifespan=lifespan)

    @made.post("/generate", response_class=Response)
    async def generate(request: Request) -> Response:
        try:
            future = server.submit(request.prompt, request.strategy, request.seed, request.guidance)
        except KeyError:
            names = ", ".join(server.names)
            raise HTTPException(
                404, f"no strategy {request.strategy!r}; there are {names}"
            ) from None
        except FullError:
            raise HTTPException(503, "too many requests wait; try again later") from None
        try:
            image = await asyncio.wrap_future(future)
        except StrategyError as error:
            raise HTTPException(422, str(error)) from None
        except Exception as error:
            raise HTTPException(500, f"the pipeline failed: {type(error).__name__}") from error
        content = io.BytesIO()
        image.save(content, format="PNG")
        return Response(content.getvalue(), media_type="image/png")

    @made.get("/strategies")
    async def names() -> list[str]:
        return server.names

    @made.get("/metrics")
    async def metrics() -> Response:
        return Response(server.metrics.text(server.waiting), media_type="text/plain; version=0.0.4")

    return made


def main(arguments: list[str] | None = None) -> None:
    """Load the model, and serve it until Ctrl-C."""
    made = argparse.ArgumentParser(description="Serve a pipeline at several speeds.")
    made.add_argument("--model", default="tiny-sd", help="as for python -m accel generate")
    made.add_argument(
        "--strategy", action="append", required=True, metavar="NAME=WHAT", help="file or preset"
    )
    made.add_argument("--device", default=default_device())
    made.add_argument("--batch", type=int, default=4, help="most images of a batch (default: 4)")
    made.add_argument("--compile", action="store_true", help="compile the denoiser")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=8000)
    flags = made.parse_args(arguments)
    quiet()
    try:
        pipe, config = open_model(flags.model, flags.device, download=False)
        if flags.compile:
            name = "unet" if hasattr(pipe, "unet") else "transformer"
            setattr(pipe, name, torch.compile(getattr(pipe, name)))
        chosen = dict(text.partition("=")[::2] for text in flags.strategy)
        settings: dict[str, Any] = {}
        if config is not None:
            word = calls.guidance_word(pipe) or "guidance_scale"
            settings = {"height": config.height, "width": config.width, word: config.guidance}
            settings |= config.arguments
        steps = None if config is None else config.steps
        server = Server(pipe, chosen, flags.batch, steps=steps, settings=settings)
    except StrategyError as error:
        made.exit(2, f"error: {error}\n")
    uvicorn.run(app(server), host=flags.host, port=flags.port, log_level="warning")


if __name__ == "__main__":
    main()
