"""Candidates that exhaust memory, hang or make NaN, on a real worker in this process."""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluate.speed.latency_measurement import unaccelerated
from search.workers.executor import InProcess
from search.workers.worker import Outcome, Request, Worker
from strategies import dump
from tests.test_search import MODEL, PIPE

KEEP: dict[str, object] = {
    "networks": ["bundled"], "pairs": [], "memory": False, "images": "", "thumbnails": 0
}  # fmt: skip
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Bad(Worker):
    """A real worker on the bundled model, with requests that go wrong for real."""

    def hang(self) -> None:
        while True:
            time.sleep(0.01)

    def hoard(self, with_torch: bool) -> Any:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        mine = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mine + 2**28, hard))
        try:
            if with_torch:
                return torch.empty(2**40)
            hoard = []
            while True:
                hoard.append(bytearray(2**24))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def spoil(self) -> None:
        """Make the last layer NaN, as a strategy that diverges makes its output."""
        torch.nn.init.constant_(self.evaluator.pipe.unet.conv_out.bias, float("nan"))


def test_bad_candidates_are_infeasible_and_no_crash() -> None:
    executor = InProcess(partial(Bad, MODEL.model_dump(), "cpu", 1))
    executor.open()

    def ask(method: str, *arguments: Any, limit: float | None = None) -> Outcome:
        executor.submit(Request(method, method, arguments, limit))
        return executor.next()[1]

    text = dump(unaccelerated(PIPE, "DDIMScheduler", 2))
    good = ask("sample", text, "search", 2, 0, KEEP)
    assert good.error == ""
    for with_torch in (True, False):
        assert ask("hoard", with_torch).error == "out of memory"
    late = ask("hang", limit=0.3)
    assert late.value is None
    assert late.error.startswith("took longer than its limit")
    # After what was broken off, the model is a fresh one.
    after = ask("sample", text, "search", 2, 0, KEEP)
    assert np.array_equal(after.value.features["bundled"], good.value.features["bundled"])
    assert ask("spoil").error == ""
    spoilt = ask("sample", text, "search", 2, 0, KEEP)
    assert spoilt.value is None
    assert "NaN or infinite" in spoilt.error
