"""Fake workers that fail as they are told: figures, images, whole requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from evaluate.extraction import ExtractedFeatures
from search.workers.messages import EndToEndRequest, SampleRequest
from strategies import Strategy
from tests.support.runs.fake_executor import FailedError, FakeExecutor

KINDS = ("nan", "inf", "-inf", "features", "black", "one black", "resized", "out of memory")
# Of a strategy and where it is drawn or timed: a kind of fault, or nothing.
Faults = Callable[[Strategy, str], str]


def spoilt(sample: ExtractedFeatures, kind: str) -> ExtractedFeatures:
    """A sample with a fault of a kind."""
    paired = dict(sample.paired)
    features = {name: rows.copy() for name, rows in sample.features.items()}
    looks: Any = None if sample.looks is None else sample.looks.copy()
    if kind in ("nan", "inf", "-inf"):
        paired["psnr"] = paired["psnr"] * float(kind)
    elif kind == "features":
        features["bundled"][0, 0] = np.nan
    elif kind == "resized":
        looks[-1, :2] = 8
    else:
        looks[0 if kind == "black" else -1 :, 2:] = 0
    return replace(sample, paired=paired, features=features, looks=looks)


class Faulty(FakeExecutor):
    """Fakes with faults by strategy and by `search`, `heldout` or `end_to_end`."""

    def __init__(self, faults: Faults, slots: int = 1) -> None:
        super().__init__(slots)
        self.faults = faults

    def time_end_to_end(self, request: EndToEndRequest) -> list[float]:
        if any(self.faults(one, "end_to_end") for one in request.strategies):
            raise FailedError("out of memory")
        return super().time_end_to_end(request)

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        if "baseline" in request.key:
            return sample
        kind = self.faults(request.strategy, request.split)
        if kind and kind not in KINDS[:-1]:
            raise FailedError(kind)
        return spoilt(sample, kind) if kind else sample
