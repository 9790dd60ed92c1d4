"""Bookkeeping per evaluation: what the search loop does beside drawing and scoring images.

    python -m benchmarks run bookkeeping --sizes 100,1000,10000

The loop is the real one, with the study in a journal and the budget's accounts; its evaluations are
made up and take no time. Each proposer is measured after so many finished evaluations that the
journal holds, over a tenth as many, and at least 50, so that the surrogate is fitted anew once or
more; `+surrogate` screens children, and with `+rungs`, as a search has it by default, one
evaluation in four is a promotion of another. Prints one JSON line per proposer and size and writes
them to `benchmarks/results/bookkeeping.json`: of all of it the mean, which has the fits in it, and
the median, on the clock and of the processor, and medians of proposing and writing alone. Writing
waits for the disk once.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.entry import RESULTS
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from search.budget import Budget
from search.costs.cost_tracker import CostTracker
from search.engine.loop import SearchLoop
from search.engine.time_report import PhaseClock
from search.proposers import successive_halving as rungs
from search.proposers.generation_strategy import GenerationStrategy
from search.proposers.proposal import Proposal
from search.study.evaluation import Evaluation
from search.study.history import History
from search.study.study import Study
from search.surrogate.surrogate import Surrogate
from search.tracking.events import EventBus
from search.workers.executor import Executor
from search.workers.messages import AnyRequest, AnyResponse, Response, SampleRequest
from strategies import Gene, SearchSpace, Strategy
from strategies.genomes.space import Genome

STEPS = [4, 5, 6, 8, 10, 12, 15, 20, 25]
SOLVERS = ["DDIMScheduler", "DPMSolverMultistepScheduler"]
PROPOSERS = ["nsga2", "nsga2+surrogate", "nsga2+surrogate+rungs", "nsga3", "local", "random"]
FEW, ALL = 6, 24  # Images of the rungs.
FEWEST = 50  # Evaluations that are measured.
GENES = [
    Gene("deepcache", "depth", ("full", 0, 1, 2, 3, 6)),
    Gene("tome", "ratio", (0.0, 0.25, 0.5)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--proposers", default=",".join(PROPOSERS))
    flags = parser.parse_args()
    space = make_space()
    sizes = [int(size) for size in flags.sizes.split(",")]
    lines = []
    genomes = [invented(space, number) for number in range(max(sizes))]
    for name in flags.proposers.split(","):
        for size in sizes:
            line = measure(space, name, genomes[:size], max(FEWEST, size // 10))
            lines.append(line)
            print(json.dumps(line), flush=True)
    target = RESULTS / "bookkeeping.json"
    target.write_text(json.dumps(lines, indent=2) + "\n")


def make_space() -> SearchSpace:
    calls = {(solver, count): count for solver in SOLVERS for count in STEPS}
    return SearchSpace("unet", SOLVERS, STEPS, calls, GENES, {"tome": {"stride": 2, "levels": 1}})


def invented(space: SearchSpace, number: int) -> tuple[Genome, Strategy]:
    rng = np.random.default_rng([7, number])
    genome = tuple(int(rng.integers(0, size)) for size in space.sizes)
    return genome, space.decode(genome)


def on_rungs(pairs: Sequence[tuple[Genome, Strategy]]) -> list[Evaluation]:
    """So many evaluations, of which one in four is a promotion of one of the others."""
    few = [evaluation(n, *pair, FEW) for n, pair in enumerate(pairs[: len(pairs) * 3 // 4])]
    history, promotions = History().read(few), rungs.Promotions((FEW, ALL))
    taken, found = set[str](), list(few)
    while (best := promotions.next(history, taken)) is not None:
        one = few[best[0]]
        taken.add(rungs.promotion_key(one.strategy.digest, ALL))
        found.append(evaluation(len(found), one.genome, one.strategy, ALL))
    return found


def evaluation(number: int, genome: Genome, strategy: Strategy, images: int = ALL) -> Evaluation:
    rng = np.random.default_rng([8, number])
    # Mostly foreseeable, so that the surrogate is trusted and works.
    reused = sum(kind != "" for kind in strategy.kinds()) / strategy.calls
    losses = (reused + (2 + float(rng.random())) / strategy.calls, latency(strategy))
    draws: tuple[tuple[float, ...], ...] = ()
    if images < ALL:
        draws = tuple((losses[0] * rng.normal(1, 0.1, rungs.RESAMPLES)).tolist()), ()
    scores = {"fd_base": losses[0], "latency_s": losses[1]}
    return Evaluation(number, "test", genome, strategy, scores, "", 1.0, losses, 0.0, images, draws)


def latency(strategy: Strategy) -> float:
    return 0.1 + sum(0.02 if kind == "" else 0.01 for kind in strategy.kinds())


class Instant(Executor):
    """One worker that has always just finished."""

    slots = 1

    def __init__(self, answers: int) -> None:
        self._waiting: list[AnyRequest] = []
        self.answers = answers
        self.answered: list[float] = []
        self.cpu: list[float] = []

    def submit(self, request: AnyRequest) -> None:
        self._waiting.append(request)

    def next(self) -> tuple[AnyRequest, AnyResponse]:
        self.answered.append(time.perf_counter())
        self.cpu.append(time.process_time())
        if len(self.answered) > self.answers:
            raise KeyboardInterrupt
        return self._waiting.pop(), Response(None, "", 1.0)

    def close(self) -> None:
        self._waiting.clear()


class Timed:
    """Calls a function and keeps how long each call took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, list[float]()

    def __call__(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        found = self.function(*arguments)
        self.seconds.append(time.perf_counter() - began)
        return found

    def ms(self, count: int) -> float:
        """The median of the last so many calls."""
        return milliseconds(np.median(self.seconds[-count:]))


class MadeUp:
    """Stands for the scorer of a search, with made-up figures."""

    def request(self, proposal: Proposal) -> SampleRequest:
        return SampleRequest(
            key=str(proposal.number), strategy=proposal.strategy, split="search",
            start=proposal.drawn, stop=proposal.images, reading=ExtractionSpec(),
        )  # fmt: skip

    def evaluation(
        self, proposal: Proposal, request: SampleRequest, outcome: Response[ExtractedFeatures]
    ) -> Evaluation:
        return evaluation(proposal.number, proposal.genome, proposal.strategy, proposal.images)

    def settle(self, proposal: Proposal) -> None:
        return None


def made_up(
    study: Study, generation: GenerationStrategy, executor: Executor, budget: Budget
) -> SearchLoop:
    """The loop of a search with made-up figures, one image having cost a second."""
    accounts = CostTracker(budget, study, generation.ladder, 96, 8, 1.0)
    accounts.record(1.0, 24, 1.0)
    baseline = generation.space.uniform(SOLVERS[0], STEPS[-1])
    return SearchLoop(
        study, executor, generation, accounts, baseline, latency, lambda *_: "", str(budget),
        MadeUp(), EventBus(), PhaseClock(), lambda _: None, Path("none"),
    )  # fmt: skip


def measure(
    space: SearchSpace, name: str, pairs: Sequence[tuple[Genome, Strategy]], repeats: int
) -> dict[str, Any]:
    kind, *parts = name.split("+")
    screened, rungs_too = "surrogate" in parts, "rungs" in parts
    rows = on_rungs(pairs) if rungs_too else [evaluation(n, *p) for n, p in enumerate(pairs)]
    generation = GenerationStrategy(space, [], kind, 24, 0, (FEW, ALL) if rungs_too else (ALL,))
    surrogate = Surrogate(space, ("fd_base", "latency_s"), {"latency_s": latency}, 0)
    generation.set_measurements(
        latency, surrogate=surrogate if screened else None, reference=lambda: (1.0, 1.0)
    )
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal")
        kept, os.fsync = os.fsync, lambda fd: None  # Only while it is filled.
        for row in rows:
            study.add(row)
        os.fsync = kept
        # The first evaluation reads what is there once, and is not counted.
        executor = Instant(repeats + 1)
        writing, proposing = Timed(study.add), Timed(generation.propose)
        vars(study)["add"], vars(generation)["propose"] = writing, proposing
        with suppress(KeyboardInterrupt):
            made_up(study, generation, executor, Budget(seconds=1e9)).run()
    each = np.diff(executor.answered[1:])
    return {
        "proposer": name,
        "finished": len(rows),
        "mean_ms": milliseconds(np.mean(each)),
        "all_ms": milliseconds(np.median(each)),
        "all_cpu_ms": milliseconds(np.median(np.diff(executor.cpu[1:]))),
        "propose_ms": proposing.ms(len(each)),
        "write_ms": writing.ms(len(each)),
    }


def milliseconds(seconds: np.floating[Any]) -> float:
    return round(1000 * float(seconds), 2)


if __name__ == "__main__":
    main()
