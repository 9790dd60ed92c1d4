"""Worker: holds one loaded model and carries out requests, in this process or in a Ray actor."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import accel
from accel.models import notes
from accel.models.config import ModelConfig
from accel.models.loading import quiet
from accel.pipelines import shared_tokens
from accel.pipelines.devices import device_of
from evaluate import Evaluator
from evaluate.evaluator import Split
from evaluate.extraction import ExtractedFeatures
from evaluate.images.generation import NotFiniteError, generate_batches, run_pipeline
from evaluate.images.image_store import ImageStore, model_fingerprint
from evaluate.images.prompts import Prompts
from evaluate.networks.base import Pixels
from evaluate.speed.call_profile import call_macs
from evaluate.speed.latency_measurement import (
    time_around,
    time_calls,
    time_end_to_end,
    whole_setting,
)
from evaluate.speed.timing import device_name
from evaluate.statistics.gaussian import ScoreError
from search.workers.cost_meter import Meter
from search.workers.messages import (
    A,
    CallTimes,
    CountMacsRequest,
    EndToEndRequest,
    RepeatRequest,
    Request,
    Response,
    SampleRequest,
    TimeCallsRequest,
)
from search.workers.process_group import ProcessGroup
from strategies import StrategyError
from strategies.data_files.whole import FAULTS, UnwritableError, refused


class Worker:
    """One model on one device.

    Args:
        model: a `ModelConfig` as plain data.
        device: target device, such as `cpu` or `cuda`.
        threads: number of torch's threads on a CPU.
        lists: prompts of every split as the search has read them; by default those of the model.
        weights: digest of the model's weights that the search has found; empty takes any.
        group: place among the processes that carry out the requests together; they share the
            tokens of every image.

    Raises:
        StrategyError: the model cannot be loaded, its weights here are others, or its tokens
            cannot be shared.
    """

    on_cpu = True  # Whether processor time is what counts.

    def __init__(
        self,
        model: dict[str, Any],
        device: str,
        threads: int,
        lists: dict[Split, Prompts] | None = None,
        weights: str = "",
        group: ProcessGroup | None = None,
    ) -> None:
        self.group = group or ProcessGroup()
        torch.set_num_threads(threads)
        quiet()
        config = ModelConfig.model_validate(model)
        with notes.silent():
            self.evaluator = Evaluator(config, device, lists=lists, keep_embeddings=True)
        self.weights = model_fingerprint(config.source, config)
        if weights and self.weights != weights:
            raise StrategyError(
                f"{config.source} holds other weights on {platform.node()} than those that the "
                "search began with; put these there"
            )
        self.on_cpu = device_of(self.evaluator.pipe).type == "cpu"
        if self.group.size > 1:
            self.group.join(device)
            shared_tokens.share_tokens(self.evaluator.pipe, self.group.size)

    @property
    def device(self) -> str:
        """Name of what latency depends on: the GPU, or the processor and its threads."""
        name, size = device_name(self.evaluator.pipe), self.group.size
        return name if size == 1 else f"{name}, {size} processes with context parallelism"

    def answer(self, request: Request[A]) -> Response[A]:
        """Carry out a request; an error of the strategy becomes the outcome's error."""
        paid = Meter(self.on_cpu)
        try:
            value = request.answer_of(self)
            return Response(value, "", paid.seconds())
        except UnwritableError:
            raise  # No fault of the strategy, and none that the next would not meet.
        except (NotFiniteError, ScoreError, StrategyError) as error:
            reason = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
            reason = "out of memory"
        except Exception as error:  # Whatever a candidate does, the search continues.
            if isinstance(error, OSError) and error.errno in FAULTS:
                raise refused(error.filename or "what a worker writes", error) from error
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if "can't allocate memory" in str(error):
                reason = "out of memory"
        return Response(None, reason, paid.seconds())

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        """Generate images, and return their features."""
        evaluator, strategy, reading = self.evaluator, request.strategy, request.reading
        chosen = evaluator.prompts[request.split].first(request.stop)
        rows = chosen.at(range(request.start, request.stop))
        if not reading.pairs:
            return evaluator.sample(strategy, rows, reading)
        base = self._unaccelerated(Path(request.unaccelerated), chosen, request.start)
        return evaluator.sample(strategy, rows, reading, base)

    def _unaccelerated(self, folder: Path, chosen: Prompts, start: int) -> Callable[[int], Pixels]:
        """Unaccelerated images from prompt `start` on; a missing one is generated."""
        one = self.evaluator
        side = ImageStore(folder, self.weights).generate(
            "unaccelerated",
            one.pipe,
            one.config,
            one.unaccelerated,
            chosen,
            one.networks,
            start=start,
            settle=self.group.leaders,
        )
        assert side.image is not None
        read = side.image
        return lambda index: read(start + index)

    def time_calls(self, request: TimeCallsRequest) -> CallTimes:
        """One turn of the latency table: the calls of strategies, and the solvers."""
        pipe, config = self.evaluator.pipe, self.evaluator.config
        prompts = self.evaluator.prompts["search"]
        kinds = time_calls(pipe, config, prompts, request.strategies, self.group.wait)
        kinds = {kind: self.group.slowest(seconds) for kind, seconds in kinds.items()}
        around = time_around(pipe, config, prompts, request.solvers)
        slowest = self.group.slowest([one.seconds for one in around])
        around = [one._replace(seconds=s) for one, s in zip(around, slowest, strict=True)]
        return CallTimes(kinds, around)

    def count_macs(self, request: CountMacsRequest) -> dict[str, float]:
        """Count the multiply-accumulates of each kind of call."""
        evaluator, found = self.evaluator, dict[str, float]()
        pipe, config = evaluator.pipe, whole_setting(evaluator.config)
        prompt = evaluator.prompts["search"].first(1)
        for strategy in request.strategies:
            with accel.accelerated(pipe, strategy, set_scheduler=True):
                work = call_macs(pipe, partial(run_pipeline, pipe, config, strategy, prompt))
            found |= {kind: float(work[call]) for call, kind in enumerate(strategy.kinds())}
        return found

    def repeat(self, request: RepeatRequest) -> float:
        """Mean difference of two images of the first prompt, in levels of 255."""
        evaluator = self.evaluator
        prompt = evaluator.prompts["search"].first(1)
        first, second = (
            np.stack(
                next(generate_batches(evaluator.pipe, evaluator.config, request.strategy, prompt))
            )
            for _ in range(2)
        )
        return float(np.abs(first.astype(float) - second).mean())

    def time_end_to_end(self, request: EndToEndRequest) -> list[float]:
        """Seconds of one image with each strategy, one after the other."""
        evaluator = self.evaluator
        prompts = evaluator.prompts["search"]
        return self.group.slowest(
            time_end_to_end(
                evaluator.pipe, evaluator.config, prompts, request.strategies, self.group.wait
            )
        )
