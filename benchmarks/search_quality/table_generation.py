"""Draw the strategies of the tabular benchmark: many of one model's default space, once.

    python -m benchmarks run tabular_draw tiny-sd --out runs/tabular --rounds 12 --workers 2

Rounds of strategies, each drawn on the first search prompts with the noise that every search uses.
The first holds a search's initial strategies, strategies drawn evenly from the space, and schedules
with calls cached at random densities; before it comes what a measured sensitivity draws, on as few
prompts as it has. Every later round is led by what is known so far, so that the table is dense
where searches go: a model is fitted, NSGA-II runs on it, and the best of its front are drawn beside
mutations of the known front and further random ones. A stopped run goes on where it was.
`search_quality/table_file.py` packs what is drawn and answers for it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.ensemble import ExtraTreesRegressor

from accel.models.loading import quiet
from benchmarks.search_quality.table_lookup import NARROW, PROMPTS
from evaluate import Evaluator, read_model
from evaluate.speed.latency_measurement import measure_table
from evaluate.speed.latency_table import LatencyTable
from search import spaces
from search.costs.probe_strategies import probes
from search.initial.baselines import known_strategies
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.pareto import nondominated, select_subset
from search.proposers import schedule_operators as operators
from search.surrogate.strategy_features import StrategyFeatures
from strategies import SearchSpace, Strategy
from strategies.data_files.configs import read_config

IMAGES = 16
TURNS = 8
EVENLY, DENSE = 60, 80  # Of the first round.
LED, MUTATED, RANDOM = 40, 25, 15  # Of every later one.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    flags = parser.parse_args()
    draw = Draw(flags.model, flags.out / flags.model)
    draw.measure()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(flags.workers, context, _start, (flags.model,)) as pool:
        draw.all([("stretch", one) for one in draw.stretches()], "s", pool, PROMPTS)
        for number in range(flags.rounds):
            chosen = draw.first() if number == 0 else draw.led(number)
            draw.all(chosen, f"{number:02d}", pool)
            print(f"round {number}: {len(draw.known)} strategies", flush=True)


_evaluator: Evaluator  # Made by `_start` in each process.


def _start(model: str) -> None:
    """Make a process ready to draw."""
    global _evaluator
    quiet()
    torch.set_num_threads(1)
    _evaluator = Evaluator(read_model(model))


def features(strategy: Strategy, path: Path, images: int = IMAGES) -> NDArray[np.float32]:
    """Features of a strategy's images of the search's prompts.

    A file keeps them; it is written when it is missing.
    """
    if not path.exists():
        chosen = _evaluator.prompts["search"].first(images)
        drawn = _evaluator.generate("drawn", strategy, chosen).features("bundled")
        part = path.with_suffix(".part")
        save_file({"features": drawn}, part)
        part.replace(path)
    found: NDArray[np.float32] = load_file(path)["features"][:images]
    return found


class Draw:
    """Strategies generated so far, and the means to generate more."""

    def __init__(self, model: str, folder: Path) -> None:
        _start(model)
        self.evaluator = _evaluator
        space = read_config("spaces", NARROW[model])
        family = self.evaluator.unaccelerated.family
        self.space: SearchSpace = spaces.make_space(space, family, self.evaluator.pipe.scheduler)
        self.describe = StrategyFeatures(self.space)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.known: dict[str, tuple[Strategy, float]] = {}
        self.plain = self.evaluator.unaccelerated.digest
        self.base = features(self.evaluator.unaccelerated, folder / "unaccelerated.safetensors")

    def measure(self) -> None:
        """The latency table, once."""
        path = self.folder / "latency.json"
        if not path.exists():
            turns = [probes(self.space, turn) for turn in range(TURNS)]
            prompts = self.evaluator.prompts["search"]
            table = measure_table(
                self.evaluator.pipe, self.evaluator.config, prompts, turns, self.space.solvers
            )
            path.write_text(table.model_dump_json(indent=2), encoding="utf-8")
        self.table = LatencyTable.model_validate_json(path.read_text("utf-8"))

    def all(
        self,
        chosen: Sequence[tuple[str, Strategy]],
        label: str,
        pool: Executor,
        images: int = IMAGES,
    ) -> None:
        """Draw strategies, unless they are there or are the unaccelerated model; what is drawn on
        all images is known from then on.
        """
        rows = []
        for index, (origin, strategy) in enumerate(chosen):
            if strategy.digest != self.plain:
                path = self.folder / f"{label}-{index:03d}-{origin}.safetensors"
                text = json.dumps(strategy.to_json())
                path.with_suffix(".json").write_text(text, encoding="utf-8")
                rows.append((strategy, path, images))
        found = pool.map(features, *zip(*rows, strict=True))
        for (strategy, *_), theirs in zip(rows, found, strict=True):
            if images == IMAGES:
                error = np.square(theirs - self.base).sum(1).mean() / self.base.var(0).sum()
                self.known[strategy.digest] = strategy, float(error)

    def first(self) -> list[tuple[str, Strategy]]:
        """Initial strategies, strategies drawn evenly, and cached calls at random densities."""
        config, rng = self.evaluator.config, np.random.default_rng(0)
        found = [
            ("initial", one)
            for _, one in known_strategies(self.space, config.scheduler, config.steps)
        ]
        found += [("even", self.space.decode(self._even(rng))) for _ in range(EVENLY)]
        found += [("dense", self.space.decode(self._dense(rng))) for _ in range(DENSE)]
        return found

    def stretches(self) -> list[Strategy]:
        """Strategies that a measured sensitivity generates."""
        return SensitivitySchedules(self.space, self.evaluator.unaccelerated.solver_text).asked()

    def _even(self, rng: np.random.Generator) -> list[int]:
        return [int(rng.integers(0, size)) for size in self.space.sizes]

    def _dense(self, rng: np.random.Generator) -> list[int]:
        """One random choice per knob, made at a random share of the calls."""
        genome = np.array(self._even(rng))
        slots = genome[self.space.global_count :].reshape(
            self.space.slots, self.space.genes_per_slot
        )
        for place, gene in enumerate(self.space.call_genes):
            acts = rng.random(self.space.slots) < rng.random()
            slots[:, place] = np.where(acts, rng.integers(0, len(gene.choices)), 0)
        return [int(value) for value in genome]

    def led(self, number: int) -> list[tuple[str, Strategy]]:
        """The best that a model of what is known can find, mutations of the front, random ones."""
        rng = np.random.default_rng([1, number])
        rows = list(self.known.values())
        told = self._told(one for one, _ in rows)
        model = ExtraTreesRegressor(200, min_samples_leaf=2, random_state=number)
        model.fit(told, np.log([error for _, error in rows]))
        front = [rows[i][0] for i in nondominated(self._points(rows))]
        pool = {one.digest: one for one in front}
        for _ in range(25):
            parents = list(pool.values())
            for _ in range(60):
                mother, father = (parents[int(rng.integers(len(parents)))] for _ in range(2))
                genome = operators.child(
                    self.space, self.space.encode(mother), self.space.encode(father), rng
                )
                one = self.space.decode(genome)
                pool[one.digest] = one
            everyone = list(pool.values())
            guess = np.exp(model.predict(self._told(everyone)))
            points = self._points(list(zip(everyone, guess.tolist(), strict=True)))
            pool = {everyone[i].digest: everyone[i] for i in nondominated(points)}
        best = [one for one in pool.values() if one.digest not in self.known]
        guess = np.exp(model.predict(self._told(best)))
        points = self._points(list(zip(best, guess.tolist(), strict=True)))
        found = [("led", best[i]) for i in select_subset(np.log(points), (1.0, 3.0), LED)]
        while len(found) < LED + MUTATED:
            parent = front[int(rng.integers(len(front)))]
            genome = tuple(operators.mutate(self.space, self.space.encode(parent), rng))
            found.append(("mutated", self.space.decode(genome)))
        found += [("dense", self.space.decode(self._dense(rng))) for _ in range(RANDOM)]
        new = {one.digest: (origin, one) for origin, one in found}
        return [pair for digest, pair in new.items() if digest not in self.known]

    def _told(self, rows: Iterable[Strategy]) -> NDArray[np.float32]:
        return np.array([self.describe(one) for one in rows])

    def _points(self, rows: list[tuple[Strategy, float]]) -> NDArray[np.float64]:
        return np.array([[self.table.predict(one), error] for one, error in rows])


if __name__ == "__main__":
    main()
