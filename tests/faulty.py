"""Fake workers that fail as they are told: figures, images, whole requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from evaluate.extraction import Sample
from search.workers.worker import Outcome, Request
from strategies import Strategy, parse
from tests.fakes import FakeExecutor

KINDS = ("nan", "inf", "-inf", "features", "black", "one black", "resized", "out of memory")
# Of a strategy and where it is drawn or timed: a kind of fault, or nothing.
Faults = Callable[[Strategy, str], str]


def spoilt(sample: Sample, kind: str) -> Sample:
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

    def answer(self, request: Request) -> Outcome:
        if request.method == "end_to_end":
            rows = [parse(text) for text in request.arguments[0]]
            if any(self.faults(one, request.method) for one in rows):
                return Outcome(None, "out of memory", 0.1)
        outcome = super().answer(request)
        if request.method != "sample" or "baseline" in request.key:
            return outcome
        kind = self.faults(parse(request.arguments[0]), request.arguments[1])
        if not kind:
            return outcome
        if kind in KINDS[:-1]:
            return replace(outcome, value=spoilt(outcome.value, kind))
        return Outcome(None, kind, 1.0)
