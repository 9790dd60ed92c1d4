"""One run: what is measured before the search, and what an answer of a worker is worth."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluate.evaluator import real_images
from evaluate.latency import LatencyTable, make_table
from evaluate.sample import Sample
from evaluate.scores import score
from evaluate.statistics import ScoreError
from search import budget as budgets
from search import loop, rungs, samples
from search.config import SearchConfig
from search.executor import Executor
from search.goals import COSTS, Goals, needed
from search.probes import probes
from search.proposer import Proposal, Proposer
from search.sensitivity import Sensitivity
from search.spending import TURNS, Spending
from search.study import Evaluation, Study
from search.worker import Outcome, Request
from strategies import SearchSpace, Strategy, StrategyError, dump

Report = Callable[["Engine"], None]


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
        self.rungs = rungs.check(config.rungs, config.images)
        self.doing = "starting"
        self.unscored = 0

    def say(self, doing: str) -> None:
        """Report, with what is being done now."""
        self.doing = doing
        self._report(self)

    def prepare(self) -> None:
        """Measure what every evaluation needs: the unaccelerated images and the latency table."""
        self._open()
        count = self.config.images
        self.base = self.draw_baseline("search", count)
        plain = score(self.base, self.base, self.real)
        # A wrong name is said before anything long is measured.
        self.goals = self.make_goals(plain | dict.fromkeys((*COSTS, "speedup"), 1.0))
        if self.study.noted("table") is None:
            self.study.note("table", self._measure_table().model_dump())
        self.table = LatencyTable.model_validate(self.study.noted("table"))
        counted = needed(self.config.objectives, self.config.constraints)
        if "macs" in counted and self.study.noted("macs") is None:
            self.say("counting multiply-accumulates")
            request = Request("macs", "macs", ([dump(one) for one in probes(self.space, 0)],))
            outcome = self.executor.alone(request)
            self.must(outcome)
            self.study.note("seconds:macs", outcome.seconds)
            self.study.note("macs", outcome.value)
        self.macs: dict[str, float] | None = self.study.noted("macs")
        self.base_scores: dict[str, float] = plain | self.costs(self.baseline)
        self.goals = self.make_goals(self.base_scores)
        self.goals_at = {count: self._goals_at(count) for count in self.rungs}
        self.spending = self._make_spending()
        known: list[tuple[str, Strategy]] = []
        if self.config.sensitivity:
            sensitivity = Sensitivity(self, self.config.sensitivity)
            sensitivity.measure()
            known = sensitivity.seeds()
        self.proposer.learn(self.table.predict, known)

    def _goals_at(self, count: int) -> Goals:
        """The goals held against the unaccelerated figures on a rung's prompts."""
        base = samples.first(self.base, count)
        return self.make_goals(score(base, base, self.real) | self.costs(self.baseline))

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

    def _open(self) -> None:
        """Start the workers, on the kind of device that the study's latencies are of.

        Raises:
            StrategyError: they are on another.
        """
        self.say("starting workers")
        self.executor.report = self.say
        device, former = self.executor.open(), self.study.noted("device")
        if former is None:
            self.study.note("device", device)
        elif former != device:
            raise StrategyError(
                f"the run's latencies are of {former!r}, and the workers are on {device!r}; go on "
                f"there, or start a new run here with --warm-start {self.folder}"
            )

    def _measure_table(self) -> LatencyTable:
        turns, seconds = [], 0.0
        for turn in range(TURNS):
            self.say(f"measuring latency, turn {turn + 1} of {TURNS}")
            outcome = self.executor.alone(self.table_turn(turn))
            self.must(outcome)
            turns.append(outcome.value)
            seconds += outcome.seconds
        self.study.note("seconds:table", seconds)
        calls, around = zip(*turns, strict=True)
        return make_table(calls, around, self.study.noted("device"))

    def table_turn(self, turn: int) -> Request:
        """To time every kind of call once, in an order of this turn's own."""
        texts = [dump(one) for one in probes(self.space, turn)]
        return Request(f"table-{turn}", "table_turn", (texts, list(self.space.solvers)))

    def _make_spending(self) -> Spending:
        plain, config = self.base_scores["latency_s"], self.config
        made = Spending(
            self.budget, self.study, self.rungs, config.heldout_images, config.export, plain
        )
        made.saw(plain, config.images, float(self.study.noted("seconds:baseline-search")))
        held = self.folder / "baseline-heldout.safetensors"
        made.heldout_baseline_drawn = held.exists()
        return made

    def draw_baseline(self, split: str, count: int) -> Sample:
        """The unaccelerated sample of a split, kept in the run's folder once it is drawn."""
        path = self.folder / f"baseline-{split}.safetensors"
        kept = samples.read(path, count)
        if kept is not None:
            return kept
        text, step = dump(self.baseline), self.config.model.batch
        starts = range(0, count, step)
        parts: dict[int, Outcome] = {}
        self.say(f"drawing the unaccelerated images, {count} to go")
        for request, outcome in self.executor.each(
            Request(str(start), "sample", (text, split, min(start + step, count), start))
            for start in starts
        ):
            self.must(outcome)
            parts[int(request.key)] = outcome
            left = max(0, count - step * len(parts))
            self.say(f"drawing the unaccelerated images, {left} to go")
        sample: Sample = functools.reduce(samples.joined, (parts[s].value for s in starts))
        samples.write(sample, path)
        self.study.note(f"seconds:baseline-{split}", sum(o.seconds for o in parts.values()))
        return sample

    def search(self) -> None:
        """Evaluate proposals; see `search.loop`."""
        loop.search(self)

    def request(self, proposal: Proposal) -> Request:
        """To draw what the proposal's rung has more than the sample that is kept."""
        kept = self._kept(proposal)
        arguments: tuple[Any, ...] = (dump(proposal.strategy), "search", proposal.images)
        if kept is not None:
            arguments = (*arguments, proposal.drawn)
        latency, drawn = self.table.predict(proposal.strategy), proposal.images - proposal.drawn
        return Request(str(proposal.number), "sample", arguments, self.limit(latency, drawn))

    def limit(self, latency: float, images: int) -> float:
        """Seconds after which drawing so many images at that latency is given up."""
        return self.config.timeout or self.spending.limit(latency, images)

    def _kept(self, proposal: Proposal) -> Sample | None:
        return samples.read(self._place(proposal.strategy), proposal.drawn or -1)

    def _place(self, strategy: Strategy) -> Path:
        return self.folder / "samples" / f"{strategy.digest}.safetensors"

    def evaluation(self, proposal: Proposal, request: Request, outcome: Outcome) -> Evaluation:
        """What the answer to a proposal's request is worth."""
        scores: dict[str, float] = {}
        draws: tuple[tuple[float, ...], ...] = ()
        error, images = outcome.error, proposal.images
        if outcome.value is not None:
            try:
                sample: Sample = outcome.value
                if len(request.arguments) > 3:
                    kept = self._kept(proposal)
                    assert kept is not None
                    sample = samples.joined(kept, sample)
                base = samples.first(self.base, images)
                scores = score(sample, base, self.real) | self.costs(proposal.strategy)
                if images < self.rungs[-1]:
                    draws = self._draws(sample, base)
                    samples.write(sample, self._place(proposal.strategy))
                else:
                    self._place(proposal.strategy).unlink(missing_ok=True)
            except ScoreError as broken:
                scores, error = {}, str(broken)
        goals = self.goals_at[images]
        return Evaluation(
            proposal.number,
            proposal.origin,
            proposal.genome,
            proposal.strategy,
            scores,
            error,
            outcome.seconds,
            goals.losses(scores) if scores else (),
            goals.violation(scores) if scores else 0.0,
            images,
            draws,
        )

    def _draws(self, sample: Sample, base: Sample) -> tuple[tuple[float, ...], ...]:
        """Of every objective its losses on resamples of the prompts, costs having none."""
        found = rungs.resampled(sample, base, self.real, self.goals.names)
        goals = self.goals_at[len(sample.features)]
        return tuple(
            tuple(goals.loss(name, value) for value in found.get(name, ()))
            for name in self.goals.names
        )

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst point that counts; see `Goals.reference`."""
        return self.goals.reference

    def must(self, outcome: Outcome) -> None:
        """Raise where the unaccelerated pipeline itself failed."""
        if outcome.error:
            raise StrategyError(f"the unaccelerated pipeline failed: {outcome.error}")
