"""Candidates that exhaust memory, hang or make NaN, on a real worker in this process."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluate.extraction import ExtractionSpec
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search.workers.executor import InProcessExecutor
from search.workers.messages import Handler, Request, SampleRequest
from search.workers.worker import Worker
from tests.support.runs.engines import MODEL, PIPE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@dataclass(frozen=True, kw_only=True)
class Hang(Request[None]):
    """Never return, while Python runs."""

    def answer_of(self, handler: Handler) -> None:
        while True:
            time.sleep(0.01)


@dataclass(frozen=True, kw_only=True)
class Hoard(Request[None]):
    """Take more memory than there is."""

    with_torch: bool

    def answer_of(self, handler: Handler) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        mine = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mine + 2**28, hard))
        try:
            if self.with_torch:
                torch.empty(2**40)
            hoard = []
            while True:
                hoard.append(bytearray(2**24))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@dataclass(frozen=True, kw_only=True)
class Spoil(Request[None]):
    """Make the last layer NaN, as a strategy that diverges makes its output."""

    def answer_of(self, handler: Handler) -> None:
        assert isinstance(handler, Worker)
        unet = handler.evaluator.pipe.unet
        torch.nn.init.constant_(unet.conv_out.bias, float("nan"))


def test_bad_candidates_are_infeasible_and_no_crash() -> None:
    executor = InProcessExecutor(partial(Worker, MODEL.model_dump(), "cpu", 1))
    executor.open()
    images = SampleRequest(
        key="images",
        strategy=unaccelerated_strategy(PIPE, "DDIMScheduler", 2),
        split="search",
        stop=2,
        reading=ExtractionSpec(("bundled",)),
    )
    good = executor.run_exclusive(images)
    assert good.error == ""
    assert good.value is not None
    for with_torch in (True, False):
        hoard = Hoard(key="hoard", with_torch=with_torch)
        assert executor.run_exclusive(hoard).error == "out of memory"
    late = executor.run_exclusive(Hang(key="hang", time_limit=0.3))
    assert late.value is None
    assert late.error.startswith("took longer than its limit")
    # After what was broken off, the model is a fresh one.
    after = executor.run_exclusive(images)
    assert after.value is not None
    assert np.array_equal(after.value.features["bundled"], good.value.features["bundled"])
    assert executor.run_exclusive(Spoil(key="spoil")).error == ""
    spoilt = executor.run_exclusive(images)
    assert spoilt.value is None
    assert "NaN or infinite" in spoilt.error
