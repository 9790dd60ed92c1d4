"""The table of drawn strategies of a model, which answers for all others by a fitted model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.stats import kendalltau, spearmanr
from sklearn.model_selection import KFold

from accel import families
from accel.models.config import read_model
from accel.models.loading import load_pipeline
from benchmarks import entry
from benchmarks.search_quality.table_model import Mixture, Shift
from evaluate.evaluator import real_images
from evaluate.speed.latency_table import LatencyTable
from evaluate.statistics.bootstrap import resample_weights
from evaluate.statistics.distances import frechet_paired, frechet_statistic
from search import spaces
from search.engine.sensitivity import change_of
from search.initial.sensitivity_schedules import STEPS as MEASURED_STEPS
from search.proposers import successive_halving as rungs
from search.surrogate.strategy_features import StrategyFeatures
from strategies import SearchSpace, Strategy
from strategies.data_files.configs import read_config

SIZES = (4, 8, 16)  # Images that a strategy can be scored on.
FOLDS = 10
PROMPTS = 4  # Of the measured sensitivity.
APART = ("stretches", "changes")  # Its genomes and features, where it was drawn on so few.
SCORED = ("scored", "figures")  # Genomes, and FD on each of the sizes, NaN where it is not known.
# Spaces that are small enough for a table.
NARROW = {"tiny-sd": "unet-small", "tiny-pixart": "dit-cat"}
LEAST = 1e-3  # FD that is told from none.


def make_space(model: str, settings: dict[str, Any] | None = None) -> SearchSpace:
    """The space that a model's table is of, or that of other settings."""
    pipe = load_pipeline(read_model(model))
    given = read_config("spaces", NARROW[model]) if settings is None else settings
    return spaces.make_space(given, families.find_sites(pipe)[0], pipe.scheduler)


class Table:
    """Generated strategies, and a model for the rest.

    Args:
        model: whose table.
    """

    def __init__(self, model: str) -> None:
        self.name = model
        path = entry.TABLES / f"{model}.safetensors"
        tensors = load_file(path)
        with safe_open(path, "np") as file:
            self.notes: dict[str, str] = file.metadata()
        notes = self.notes
        self.space = make_space(model, json.loads(notes["space"]))
        self.describe = StrategyFeatures(self.space)
        self.latency = LatencyTable.model_validate_json(notes["latency"])
        origins: list[str] = json.loads(notes["origins"])
        self.origins = [
            "initial" if one == "seed" else one for one in origins
        ]  # As tables have it.
        self.base = tensors["unaccelerated"].astype(float)
        self.strategies = [self.space.decode(tuple(map(int, g))) for g in tensors["genomes"]]
        self.features = dict(
            zip(
                (one.digest for one in self.strategies),
                tensors["features"].astype(float),
                strict=True,
            )
        )
        self.apart = {key: tensors[key] for key in (*APART, *SCORED) if key in tensors}
        few = [self.apart[key] for key in APART if key in self.apart]
        self._few = {
            self.space.decode(tuple(map(int, genome))).digest: features.astype(float)
            for genome, features in zip(*few, strict=True)
        }
        self.seen = {(d, n): self._measured(f, n) for d, f in self.features.items() for n in SIZES}
        scored = self._scored()
        self.everyone = [*self.strategies, *scored]
        self.origins += ["searched"] * len(scored)
        self.told_all = np.array([self.told(one) for one in self.everyone])
        self.logs = np.log([self.seen[one.digest, SIZES[-1]] for one in self.everyone])
        self.fewer = {n: self._shift(n) for n in SIZES[:-1]}

    @cached_property
    def model(self) -> Mixture:
        """Model of the strategies that were not generated, fitted when it is first asked for."""
        return Mixture().fit(self.told_all, self.logs)

    def _scored(self) -> list[Strategy]:
        """Take in what searches have scored; on all images, those that are not drawn here."""
        found = []
        rows = [self.apart[key] for key in SCORED if key in self.apart]
        for genome, figures in zip(*rows, strict=True):
            strategy = self.space.decode(tuple(map(int, genome)))
            known = {n: float(v) for n, v in zip(SIZES, figures, strict=True) if np.isfinite(v)}
            for n, value in known.items():
                self.seen.setdefault((strategy.digest, n), max(LEAST, value))
            if SIZES[-1] in known and strategy.digest not in self.features:
                found.append(strategy)
        return found

    def _shift(self, images: int) -> Shift:
        both = [i for i, one in enumerate(self.everyone) if (one.digest, images) in self.seen]
        fewer = np.log([self.seen[self.everyone[i].digest, images] for i in both])
        return Shift().fit(self.logs[both], fewer)

    @property
    def unaccelerated(self) -> Strategy:
        """The model's own solver and steps, nothing else."""
        config = read_model(self.name)
        return self.space.uniform(config.scheduler, config.steps)

    @property
    def reference(self) -> tuple[float, float]:
        """The worst point that counts: the unaccelerated model's FD to real images, its seconds."""
        count = SIZES[-1]
        real = frechet_statistic(self.base, real_images().statistics("bundled"))(np.ones(count))
        return float(real), self.latency.predict(self.unaccelerated)

    def sensitivity(self, digest: str) -> float | None:
        """Change of the images of a strategy, as a study would have noted it."""
        known = self._few | self.features
        features = known.get(digest)
        if features is None:
            return None
        steps = min(self.space.steps, key=lambda n: (abs(n - MEASURED_STEPS), n))
        plain = self.space.uniform(self.unaccelerated.scheduler, steps)
        return change_of(features[:PROMPTS], known[plain.digest][:PROMPTS])

    def draws(
        self, strategy: Strategy, images: int, ladder: Sequence[int]
    ) -> tuple[tuple[float, ...], ...]:
        """Losses on resamples of the prompts, of drawn strategies that may be promoted."""
        features = self.features.get(strategy.digest)
        if features is None or images >= ladder[-1]:
            return ()
        figure = frechet_paired(features[:images], self.base[:images])
        return tuple(
            float(figure(one)) for one in resample_weights(images, rungs.RESAMPLES, seed=images)
        ), ()

    def _measured(self, features: NDArray[np.float64], images: int) -> float:
        value = frechet_paired(features[:images], self.base[:images])(np.ones(images))
        return max(LEAST, float(value))

    def told(self, strategy: Strategy) -> NDArray[np.float64]:
        """Inputs of the model: the description, and the cost of all calls."""
        costs = np.log([self.latency.predict(strategy), strategy.calls])
        return np.concatenate([self.describe(strategy), costs])

    def figure(self, strategy: Strategy, images: int) -> float:
        """FD to the unaccelerated images on so many: as drawn, else as the model has it.

        On fewer images than all, the model's figure scatters as drawn ones do, by the strategy.
        """
        key = (strategy.digest, images)
        if key not in self.seen:
            whole = self.seen.get((strategy.digest, SIZES[-1]))
            value = (
                float(self.model.predict(self.told(strategy)[None])[0])
                if whole is None
                else float(np.log(whole))
            )
            if images in self.fewer:
                value = self.fewer[images].draw(value, strategy.digest)
            self.seen[key] = float(np.exp(value))
        return self.seen[key]

    def check(self) -> dict[str, Any]:
        """Errors of the model on strategies that it was not fitted on, in natural logarithms."""
        truth, guess = self.logs, np.empty(len(self.logs))
        for fit, test in KFold(FOLDS, shuffle=True, random_state=0).split(truth):
            guess[test] = Mixture().fit(self.told_all[fit], truth[fit]).predict(self.told_all[test])
        error = guess - truth
        rows = {"all": np.ones(len(truth), bool)}
        for origin in dict.fromkeys(self.origins):
            rows[origin] = np.array([one == origin for one in self.origins])
        return {
            "strategies": len(truth),
            "folds": FOLDS,
            "images": SIZES[-1],
            "spread_on_fewer_images": {n: round(one.spread, 3) for n, one in self.fewer.items()},
            "held_out": {
                name: {
                    "strategies": int(chosen.sum()),
                    "median_absolute_error": round(float(np.median(np.abs(error[chosen]))), 3),
                    "rms_error": round(float(np.sqrt(np.square(error[chosen]).mean())), 3),
                    "kendall_tau": round(float(kendalltau(guess[chosen], truth[chosen])[0]), 3),
                    "spearman": round(float(spearmanr(guess[chosen], truth[chosen])[0]), 3),
                }
                for name, chosen in rows.items()
            },
        }
