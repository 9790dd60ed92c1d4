"""Samplers of Optuna as baselines, each rebuilt from the finished evaluations.

A study in memory gets the finished evaluations in the order in which they finished. Each proposal
has a sampler of its own, seeded by its number, so a resumed search makes the same proposals. Genes
are integers to the samplers, which suits both better than categories.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState, create_trial

from search.proposers.base import Proposer, ProposerSettings
from search.study.history import History
from strategies.genomes.space import Genome


class OptunaProposer(Proposer):
    """One proposal by an Optuna sampler."""

    max_attempts = 5  # They take long, and once converged repeat themselves.

    def __init__(self, settings: ProposerSettings) -> None:
        super().__init__(settings)
        self._told = 0
        self._study: optuna.Study | None = None
        sizes = settings.space.sizes
        self._ranges: dict[str, BaseDistribution] = {
            f"g{index:04d}": IntDistribution(0, size - 1) for index, size in enumerate(sizes)
        }

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """A fresh sampler."""

    @abstractmethod
    def tell(self, study: optuna.Study, params: dict[str, Any], history: History, row: int) -> None:
        """Add a finished evaluation to the study."""

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        rng = self.rng(number, attempt)
        if not len(history):
            return self.random_genome(rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = self._synchronise(history)
            study.sampler = self.sampler(int(rng.integers(0, 2**31)))
            trial = study.ask(self._ranges)
            # It is told once it has really been evaluated; this one only held the question.
            study.tell(trial, state=TrialState.FAIL)
        return tuple(int(trial.params[name]) for name in self._ranges)

    def _synchronise(self, history: History) -> optuna.Study:
        if self._study is None:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            width = history.objectives.shape[1]
            self._study = optuna.create_study(directions=["minimize"] * width)
        self._study.sampler = self.sampler(self.settings.seed)
        for row in range(self._told, len(history)):
            genome = history.good[row].genome
            self.tell(self._study, dict(zip(self._ranges, genome, strict=True)), history, row)
        self._told = len(history)
        return self._study


class OptunaNSGA2(OptunaProposer):
    """Optuna's NSGA-II, whose generations are of the finished evaluations in their order."""

    name = "optuna-nsga2"
    summary = "Optuna's NSGA-II sampler"

    def sampler(self, seed: int) -> BaseSampler:
        return NSGAIISampler(population_size=self.settings.population, seed=seed)

    def tell(self, study: optuna.Study, params: dict[str, Any], history: History, row: int) -> None:
        # Asked for, not added, so that the sampler can number the generation that it belongs to.
        study.enqueue_trial(params)
        trial = study.ask(self._ranges)
        assert isinstance(study.sampler, NSGAIISampler)
        study.sampler.get_trial_generation(study, study.get_trials(deepcopy=False)[-1])
        trial.set_constraint("violation", float(history.violations[row]))
        study.tell(trial, [float(value) for value in history.objectives[row]])
        if (row + 1) % self.settings.population == 0:
            # The sampler keeps the parents that it chose when first asked for them, and gives them
            # in another order from then on; asked for here, no proposal is the first to ask.
            study.sampler.get_parent_population(study, (row + 1) // self.settings.population)


class OptunaTPE(OptunaProposer):
    """Optuna's tree-structured Parzen estimator, its default sampler."""

    name = "optuna-tpe"
    summary = "Optuna's TPE sampler"

    def sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed)

    def tell(self, study: optuna.Study, params: dict[str, Any], history: History, row: int) -> None:
        study.add_trial(
            create_trial(
                params=params,
                distributions=self._ranges,
                values=[float(value) for value in history.objectives[row]],
                constraints={"violation": float(history.violations[row])},
            )
        )
