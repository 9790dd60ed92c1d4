"""A finalist on held-out prompts: what is drawn of it, part by part, and what it is worth.

A finalist is scored on growing sets of prompts, see `search.costs.heldout_rungs`. Every part
that is drawn is kept, so a run that is stopped draws only what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluate.reading import Sample
from evaluate.statistics import ScoreError
from search.costs.heldout_rungs import levels
from search.images import feature_cache as samples
from search.images import gallery_writer
from search.proposers import successive_halving as rungs
from search.results.heldout_scores import HELDOUT, Figures, read
from search.study import failures
from search.study import score_checks as gate
from search.study.evaluation import Evaluation
from search.workers.worker import Outcome, Request
from strategies import Strategy

if TYPE_CHECKING:
    from search.engine.engine import Engine

PART = "heldout-part:"  # What the device time of a part is entered under.
FOLDER = "finalists"  # Of a run, with the samples.


class Drawing:
    """The samples of the finalists of one run.

    Args:
        engine: of the run.
        step: images of a part.
    """

    def __init__(self, engine: Engine, step: int) -> None:
        self.engine, self._step = engine, step
        self._there: dict[str, dict[int, Sample]] = {}

    def requests(self, strategy: Strategy, start: int, count: int) -> Iterator[Request]:
        """To draw what is missing of prompts `start` to `count`."""
        engine = self.engine
        latency = engine.table.predict(strategy)
        for begin in range(start, count, self._step):
            end = min(begin + self._step, count)
            if self._kept(strategy.digest, begin, end):
                continue
            limit = engine.limit(latency, end - begin)
            key = f"{strategy.digest}:{begin}"
            yield engine.images.request(key, strategy, "heldout", end, begin, limit)

    def missing(self, strategy: Strategy, start: int, count: int) -> int:
        """Images that are not drawn of prompts `start` to `count`."""
        return sum(r.arguments[2] - r.arguments[3] for r in self.requests(strategy, start, count))

    def take(self, request: Request, sample: Sample, seconds: float) -> None:
        """Keep a part that was drawn."""
        digest, _, text = request.key.partition(":")
        start, end = int(text), request.arguments[2]
        gallery_writer.keep(self.engine.folder, digest, sample, start)
        samples.write(sample, self._path(digest, start, end), self.engine.images.origin)
        self.engine.study.enter(f"{PART}{digest}:{start}", {}, seconds)
        self._there.setdefault(digest, {})[start] = sample

    def sample(self, digest: str, count: int) -> Sample | None:
        """The first so many images of a finalist, or None where some are missing."""
        found: Sample | None = None
        while (done := 0 if found is None else found.count) < count:
            end = min(done + self._step, count)
            if not self._kept(digest, done, end):
                return None
            part = self._there[digest][done]
            found = part if found is None else found.followed_by(part)
        return found

    def _kept(self, digest: str, start: int, end: int) -> bool:
        engine, there = self.engine, self._there.setdefault(digest, {})
        if start not in there and engine.study.seconds(f"{PART}{digest}:{start}"):
            asked = engine.figures.reading
            reading = replace(asked, memory=asked.memory and not start)
            path = self._path(digest, start, end)
            one = engine.images.kept(path, end - start, reading)
            if one is not None:
                there[start] = one
        if start not in there and (one := self._shipped(digest, start, end)) is not None:
            there[start] = one
        return start in there and there[start].count == end - start

    def _shipped(self, digest: str, start: int, end: int) -> Sample | None:
        """A part that ships with the model, once the first part was drawn alike."""
        shipped, first = self.engine.shipped, self._there[digest].get(0)
        if shipped is None or first is None or not start:
            return None
        return shipped.part(digest, start, end, self.engine.figures.reading, first)

    def _path(self, digest: str, start: int, end: int) -> Path:
        return self.engine.folder / FOLDER / f"{digest}-{start}-{end}.safetensors"


def score(engine: Engine, row: Evaluation, sample: Sample, base: Sample) -> None:
    """Note what a sample of a finalist is worth.

    Args:
        base: the unaccelerated sample of the same prompts.
    """
    digest, count = row.strategy.digest, sample.count
    scoring = engine.scoring[f"heldout-{count}"]
    try:
        scores = gate.scores(scoring, sample, base)
        intervals = gate.intervals(scoring, sample, base)
        drawn = rungs.resampled(scoring, sample, base, engine.goals.names)
        losses = {k: [engine.goals.loss(k, v) for v in rows] for k, rows in drawn.items()}
        gate.finite({f"{k} on a resample of the prompts": rows for k, rows in losses.items()})
    except ScoreError as broken:
        fail(engine, row, Outcome(None, str(broken), 0.0))
        return
    former = read(engine.study, digest, count).figures
    every = {**former, count: Figures(scores, intervals, losses)}
    found = {
        "error": "",
        "images": count,
        "scores": scores,
        "intervals": intervals,
        "levels": {str(n): asdict(one) for n, one in every.items()},
    }
    _note(engine, digest, found, 0.0)


def fail(engine: Engine, row: Evaluation, outcome: Outcome) -> None:
    """Note that a finalist failed."""
    found = failures.noted(row.strategy, row.origin, outcome.error)
    _note(engine, row.strategy.digest, found, outcome.seconds)


def _note(engine: Engine, digest: str, found: dict[str, Any], seconds: float) -> None:
    name = f"{HELDOUT}{digest}"
    engine.study.enter(name, {name: found}, engine.study.seconds(name) + seconds)
    engine.events.scored(digest, found)


__all__ = ["Drawing", "fail", "levels", "score"]
