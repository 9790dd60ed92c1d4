"""The search loop: whenever a worker is free it gets a proposal, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from evaluate.evaluator import real_images
from evaluate.latency import LatencyTable
from evaluate.sample import Sample
from evaluate.scores import score
from evaluate.statistics import ScoreError
from search import budget as budgets
from search.config import SearchConfig
from search.executor import Executor
from search.finalists import reserve
from search.goals import COSTS, Goals, needed
from search.probes import probes
from search.proposer import Proposal, Proposer, Waiting
from search.sensitivity import Sensitivity
from search.study import Evaluation, Study
from search.worker import Outcome, Request
from strategies import SearchSpace, Strategy, StrategyError, dump

Report = Callable[["Engine"], None]
TURNS = 8  # Of the latency table's measurement, the first of which warms up.


class Engine:
    """One run of a search.

    Args:
        config: its settings.
        folder: the run's folder.
        study: its log.
        executor: its workers.
        space: what is searched.
        baseline: the unaccelerated pipeline as a strategy.
        proposer: what comes next.
        report: called whenever something has changed.
    """

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        study: Study,
        executor: Executor,
        space: SearchSpace,
        baseline: Strategy,
        proposer: Proposer,
        report: Report,
    ) -> None:
        self.config, self.folder, self.study = config, folder, study
        self.executor, self.space, self.baseline = executor, space, baseline
        self.proposer, self._report = proposer, report
        self.budget = budgets.parse(config.budget)
        self.real = real_images()
        self.doing = "starting"

    def say(self, doing: str) -> None:
        """Report, with what is being done now."""
        self.doing = doing
        self._report(self)

    def prepare(self) -> None:
        """Measure what every evaluation needs: the unaccelerated images and the latency table."""
        self.say("drawing the unaccelerated images")
        count = self.config.images
        self.base = self.stored_baseline("search", count) or self.store_baseline(
            "search", self.executor.alone(self.baseline_request("search", count))
        )
        plain = score(self.base, self.base, self.real)
        # A wrong name is said before anything long is measured.
        self.goals = self.make_goals(plain | dict.fromkeys((*COSTS, "speedup"), 1.0))
        self.say("measuring latency")
        if self.study.noted("table") is None:
            turns = [[dump(one) for one in probes(self.space, turn)] for turn in range(TURNS)]
            request = Request("table", "table", (turns, list(self.space.solvers)))
            self.study.note("table", self._measured("table", request))
        self.table = LatencyTable.model_validate(self.study.noted("table"))
        counted = needed(self.config.objectives, self.config.constraints)
        if "macs" in counted and self.study.noted("macs") is None:
            self.say("counting multiply-accumulates")
            request = Request("macs", "macs", ([dump(one) for one in probes(self.space, 0)],))
            self.study.note("macs", self._measured("macs", request))
        self.macs: dict[str, float] | None = self.study.noted("macs")
        self.base_scores: dict[str, float] = plain | self.costs(self.baseline)
        self.goals = self.make_goals(self.base_scores)
        known: list[tuple[str, Strategy]] = []
        if self.config.sensitivity:
            sensitivity = Sensitivity(self, self.config.sensitivity)
            sensitivity.measure()
            known = sensitivity.seeds()
        self.proposer.learn(self.table.predict, known)

    def make_goals(self, base: dict[str, float]) -> Goals:
        """The objectives and constraints, held against figures of the unaccelerated pipeline."""
        return Goals.create(self.config.objectives, self.config.constraints, base)

    def costs(self, strategy: Strategy) -> dict[str, float]:
        """What follows from the tables: seconds, times faster, multiply-accumulates if counted."""
        seconds = self.table.predict(strategy)
        found = {"latency_s": seconds, "speedup": self.table.predict(self.baseline) / seconds}
        if self.macs is not None:
            found["macs"] = sum(self.macs[kind] for kind in strategy.kinds())
        return found

    def _measured(self, name: str, request: Request) -> Any:
        outcome = self.executor.alone(request)
        self.must(outcome)
        self.study.note(f"seconds:{name}", outcome.seconds)
        return outcome.value

    def baseline_request(self, split: str, count: int) -> Request:
        """To draw the unaccelerated sample of a split."""
        return Request(f"baseline-{split}", "sample", (dump(self.baseline), split, count))

    def stored_baseline(self, split: str, count: int) -> Sample | None:
        """The unaccelerated sample of a split from the run's folder, where it is there."""
        try:
            found = _read_sample(self.folder / f"baseline-{split}.safetensors")
        except (OSError, SafetensorError, KeyError):
            return None  # Not drawn yet, or torn by a kill: it is drawn again.
        return found if len(found.features) == count else None

    def store_baseline(self, split: str, outcome: Outcome) -> Sample:
        """Keep a freshly drawn unaccelerated sample in the run's folder."""
        self.must(outcome)
        sample: Sample = outcome.value
        _write_sample(sample, self.folder / f"baseline-{split}.safetensors")
        self.study.note(f"seconds:baseline-{split}", outcome.seconds)
        return sample

    def search(self) -> None:
        """Evaluate proposals until the budget, less what the final scoring needs, is spent."""
        running: dict[str, Proposal] = {}
        finished = self.study.evaluations
        taken = {evaluation.strategy.digest for evaluation in finished} | {self.baseline.digest}
        numbers = {evaluation.number for evaluation in finished}
        number = 0
        while True:
            while len(running) < self.executor.slots and not self.exhausted(len(running)):
                while number in numbers:
                    number += 1
                try:
                    proposal = self.proposer.propose(number, finished, taken)
                except Waiting:
                    break
                if proposal is None:
                    break
                numbers.add(number)
                taken.add(proposal.strategy.digest)
                running[str(number)] = proposal
                arguments = (dump(proposal.strategy), "search", self.config.images)
                self.executor.submit(Request(str(number), "sample", arguments))
            if not running:
                return
            request, outcome = self.executor.next()
            self.study.add(self._evaluation(running.pop(request.key), outcome))
            self.say("searching")

    def exhausted(self, running: int = 0) -> bool:
        """Whether no further evaluation may start."""
        done = len(self.study.evaluations) + running
        if self.budget.evaluations is not None:
            return done >= self.budget.evaluations
        assert self.budget.seconds is not None
        seconds = [evaluation.seconds for evaluation in self.study.evaluations]
        pending = running * (float(np.mean(seconds)) if seconds else 0.0)
        return self.study.spent + pending + reserve(self) >= self.budget.seconds

    def _evaluation(self, proposal: Proposal, outcome: Outcome) -> Evaluation:
        scores: dict[str, float] = {}
        error = outcome.error
        if outcome.value is not None:
            try:
                scores = score(outcome.value, self.base, self.real) | self.costs(proposal.strategy)
            except ScoreError as broken:
                error = str(broken)
        return Evaluation(
            proposal.number,
            proposal.origin,
            proposal.genome,
            proposal.strategy,
            scores,
            error,
            outcome.seconds,
            self.goals.losses(scores) if scores else (),
            self.goals.violation(scores) if scores else 0.0,
            self.config.images,
        )

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst point that counts; see `Goals.reference`."""
        return self.goals.reference

    def must(self, outcome: Outcome) -> None:
        """Raise where the unaccelerated pipeline itself failed."""
        if outcome.error:
            raise StrategyError(f"the unaccelerated pipeline failed: {outcome.error}")


def _write_sample(sample: Sample, path: Path) -> None:
    tensors: dict[str, Any] = {"features": sample.features, "images": sample.images}
    tensors |= {f"right_{name}": value for name, value in sample.right.items()}
    part = path.with_suffix(".part")
    save_file(tensors, part)
    part.replace(path)


def _read_sample(path: Path) -> Sample:
    tensors = load_file(path)
    right = {k.removeprefix("right_"): v for k, v in tensors.items() if k.startswith("right_")}
    return Sample(tensors["features"], tensors["images"], right)
