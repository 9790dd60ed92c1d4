"""Searches beside each other on the tabular benchmark, at equal numbers of images.

    python -m benchmarks run efficiency tiny-sd --evaluations 1000 --seeds 5
    python -m benchmarks run efficiency tiny-sd --evaluations 100 \
        --draw runs/drawn  # nothing guessed

Each optimizer is Stratagem's own proposer of that name under one evaluator
(`search_quality/table_lookup.py`) and spends the same: an evaluation is 16 images, one on a lower
rung or a measured sensitivity counts by its images. Hypervolume of all that was scored on 16
images, as a share of the box up to the unaccelerated model: as the search has it, and with both
objectives by their logarithms, from an FD of 0.1 and a speedup of 20. Medians and quartiles over
seeds, and the Mann-Whitney test of Stratagem's being larger. The structured searches draw one
schedule for each number of computed calls and stop. `--parts` takes parts of Stratagem away in
turn, and adds those that are off by default. With `--draw` every strategy is drawn that was not
(hours of a core) and kept there. Writes `benchmarks/results/efficiency-MODEL-optimizers.json` or
`-parts.json`, with `--draw` `-optimizers-drawn.json`, after each optimizer. The same command
continues.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.search_quality.comparison_rows import Mark, middle, read, row
from benchmarks.search_quality.fast_tpe import tpe_once
from benchmarks.search_quality.table_generator import Drawn
from benchmarks.search_quality.table_lookup import PROMPTS, Table
from search.initial.baselines import ORIGINS, known_strategies
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.pareto import hypervolume
from search.proposers import PROPOSERS
from search.proposers import pymoo_adapter as genetic
from search.proposers.generation_strategy import GenerationStrategy, NotReadyError
from search.proposers.nsga2 import NSGA2
from search.study.evaluation import Evaluation
from search.surrogate.surrogate import Surrogate
from strategies import Strategy
from strategies.genomes.space import Genome

FULL = 16
LEAST_FD, MOST_SPEEDUP = 0.1, 20.0  # Where the logarithmic box ends.
CURVE = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000)


@dataclass(frozen=True)
class Optimizer:
    """A way to search.

    Attributes:
        proposer: its name.
        origins: origins of the initial strategies.
        paths: kinds of schedules from the sensitivity that are evaluated first.
        ladder: numbers of images of the rungs.
        surrogate: whether children are screened.
        evaluations: maximum for searches that stop by themselves.
    """

    proposer: str
    origins: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    ladder: tuple[int, ...] = (FULL,)
    surrogate: bool = False
    evaluations: int = 10_000


class PlainOperators(NSGA2):
    """Two-point crossover and a reset of each gene at one in their number, as they are usual."""

    name = "plain-operators"

    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        child = genetic.point_crossover(self.space.sizes, mother, father, rng, 2, 0.9)
        hit = rng.random(len(child)) < 1 / len(child)
        drawn = self.random_genome(rng)
        return tuple(new if now else old for old, new, now in zip(child, drawn, hit, strict=True))


PROPOSERS[PlainOperators.name] = PlainOperators
OURS = Optimizer("nsga2", ORIGINS, ladder=(FULL // 4, FULL), surrogate=True)
PARTS = {
    "without grid": replace(OURS, origins=()),
    "without surrogate": replace(OURS, surrogate=False),
    "without operators": replace(OURS, proposer="plain-operators"),
    "without surrogate and operators": replace(OURS, surrogate=False, proposer="plain-operators"),
    "with sensitivity": replace(OURS, paths=("minimax", "sum")),
    "with rungs of 8 and 16": replace(OURS, ladder=(8, FULL)),
    "without rungs": replace(OURS, ladder=(FULL,)),
}
OPTIMIZERS = {
    "random": Optimizer("random"),
    "uniform grid": Optimizer("grid", ORIGINS),
    "Optuna NSGA-II": Optimizer("optuna-nsga2"),
    "DaTo's settings": Optimizer("dato"),
    "ECAD's operators": Optimizer("ecad"),
    "minimax path": Optimizer("random", (), ("minimax",), evaluations=0),
    "dynamic programming": Optimizer("random", (), ("sum",), evaluations=0),
    "annealing and hill climbing": Optimizer("local"),
    "annealing and hill climbing, from our grid": Optimizer("local", ORIGINS),
    "Optuna TPE": Optimizer("optuna-tpe"),  # Last: it takes longer than all others together.
}


@dataclass
class Run:
    """One search on the table."""

    table: Table
    optimizer: Optimizer
    seed: int
    spent: float = 0.0
    device: float = 0.0
    curve: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        config, table = read_model(self.table.name), self.table
        self.plain = self.table.unaccelerated
        known = known_strategies(
            table.space, config.scheduler, config.steps, self.optimizer.origins
        )
        self.generation = GenerationStrategy(
            table.space, known, self.optimizer.proposer, 24, self.seed, self.optimizer.ladder
        )
        self.reference = table.reference
        costs = {"latency_s": table.latency.predict}
        names = ("fd_base", "latency_s")
        surrogate = (
            Surrogate(table.space, names, costs, self.seed) if self.optimizer.surrogate else None
        )
        self.paths = list(self._paths())
        self.generation.set_measurements(
            table.latency.predict, self.paths, surrogate, lambda: self.reference
        )
        self.rows: list[Evaluation] = []
        self.points: list[tuple[float, float]] = []

    def _paths(self) -> Iterator[tuple[str, Strategy]]:
        """Schedules from the sensitivity, whose measuring is paid for."""
        if not self.optimizer.paths:
            return
        schedules = SensitivitySchedules(self.table.space, self.plain.solver_text)
        for one in schedules.asked():
            self._pay(one, PROMPTS)
        predict = self.table.latency.predict
        yield from schedules.initial_strategies(
            self.table.sensitivity, predict, 24, self.optimizer.paths
        )

    def _pay(self, strategy: Strategy, images: int) -> None:
        self.spent += images / FULL
        self.device += images * self.table.latency.predict(strategy)

    def go(self, evaluations: int) -> Run:
        taken = {self.plain.digest}
        marks = [mark for mark in CURVE if mark <= evaluations]
        number = 0
        most = min(evaluations, self.spent + len(self.paths) + self.optimizer.evaluations)
        while self.spent < most:
            try:
                proposal = self.generation.propose(number, self.rows, taken)
            except NotReadyError:
                raise AssertionError("one worker never waits") from None
            if proposal is None:
                break
            number += 1
            taken.add(proposal.mark)
            self._pay(proposal.strategy, proposal.images - proposal.drawn)
            self._take(proposal)
            while marks and self.spent >= marks[0]:
                self.curve.append(Mark(marks.pop(0), self.device, self.volumes()))
        self.curve += [Mark(mark, self.device, self.volumes()) for mark in marks]
        return self

    def _take(self, proposal: Any) -> None:
        strategy, images = proposal.strategy, proposal.images
        latency = self.table.latency.predict(strategy)
        losses = (self.table.figure(strategy, images), latency)
        self.rows.append(
            Evaluation(
                proposal.number, proposal.origin, proposal.genome, strategy,
                {"fd_base": losses[0], "latency_s": latency}, "", images * latency,
                losses, 0.0, images, self.table.draws(strategy, images, self.optimizer.ladder),
            )
        )  # fmt: skip
        if images == FULL:
            self.points.append((self.table.figure(strategy, FULL), latency))

    def volumes(self) -> dict[str, float]:
        """Hypervolume as the search itself has it, and with both objectives by their logarithms."""
        points = np.array(self.points).reshape(-1, 2)
        logs = logarithms(points, self.reference)
        return {
            "linear": hypervolume(points, self.reference),
            "logarithmic": hypervolume(logs, (1.0, 1.0)),
        }


def logarithms(points: NDArray[np.float64], most: Sequence[float]) -> NDArray[np.float64]:
    """FD and latency by their logarithms, from 0 at the best that counts to 1 at the worst."""
    least = np.array([LEAST_FD, most[1] / MOST_SPEEDUP])
    found: NDArray[np.float64] = np.log(np.maximum(points, least) / least) / np.log(most / least)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="names of optimizers, or parts")
    parser.add_argument("--parts", action="store_true", help="Stratagem without parts, instead")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="of what is drawn")
    parser.add_argument("--label", default="", help="goes into the name of the result's file")
    flags = parser.parse_args()
    quiet()
    table = Drawn(flags.model, flags.draw) if flags.draw else Table(flags.model)
    optimizers = everyone = {"Stratagem": OURS} | (PARTS if flags.parts else OPTIMIZERS)
    if flags.only:
        optimizers = {n: one for n, one in everyone.items() if n in {"Stratagem", *flags.only}}
    target = RESULTS / f"efficiency-{flags.model}-{label(flags)}.json"
    setting = {"model": flags.model, "seeds": flags.seeds, "evaluations": flags.evaluations}
    setting["strategies"] = len(table.everyone)
    found = read(target, setting)
    for name, optimizer in optimizers.items():
        if name in found:
            continue
        began = time.monotonic()
        with tpe_once():
            found[name] = [
                Run(table, optimizer, seed).go(flags.evaluations).curve
                for seed in range(flags.seeds)
            ]
        took = time.monotonic() - began
        shown = [round(middle(found[name], i), 4) for i in range(len(found[name][0]))]
        print(f"{name}, {took:.0f} s: {shown}", flush=True)
        done = [name for name in everyone if name in found]
        rows = [row(name, found[name], found.get("Stratagem", [])) for name in done]
        text = json.dumps({**setting, "rows": rows}, indent=1)
        target.write_text(text + "\n", encoding="utf-8")


def label(flags: argparse.Namespace) -> str:
    parts = ["parts" if flags.parts else "optimizers", "drawn" if flags.draw else "", flags.label]
    return "-".join(part for part in parts if part)


if __name__ == "__main__":
    main()
