"""A small space, evaluations of its genomes, and proposers over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from search.proposers.generation_strategy import GenerationStrategy
from search.study.evaluation import Evaluation
from strategies import Gene, SearchSpace
from strategies.genomes.space import Genome

GENES = (
    Gene("deepcache", "depth", ("full", 0, 1)),
    Gene("tome", "ratio", (0.0, 0.25, 0.5)),
)
CALLS = {("DDIMScheduler", n): n for n in (4, 6, 8)}
SPACE = SearchSpace(
    "unet", ["DDIMScheduler"], [4, 6, 8], CALLS, GENES, {"tome": {"stride": 2, "levels": 1}}
)


def latency(strategy: Any) -> float:
    return float(sum(0.25 if kind else 1.0 for kind in strategy.kinds()))


def scored(number: int, genome: Genome, **changes: Any) -> Evaluation:
    """A made-up evaluation whose losses follow from the genome."""
    strategy = SPACE.decode(genome)
    kinds = enumerate(strategy.kinds())
    harm = sum((1.0 if 3 * call < strategy.calls else 0.1) for call, kind in kinds if kind)
    losses = (harm + 8.0 / strategy.calls, latency(strategy))
    fields: dict[str, Any] = {
        "number": number,
        "origin": "test",
        "genome": genome,
        "strategy": strategy,
        "scores": {"fd_base": losses[0], "latency_s": losses[1]},
        "error": "",
        "seconds": 1.0,
        "objectives": losses,
        "violation": 0.0,
        "images": 8,
    }
    return Evaluation(**fields | changes)


def made(name: str, seed: int = 3) -> GenerationStrategy:
    generation = GenerationStrategy(SPACE, [], name, 8, seed)
    generation.set_measurements(latency)
    return generation


def search(
    name: str, count: int, fail: Sequence[int] = (), same: bool = False, seed: int = 3
) -> list[Evaluation]:
    """One proposal after the other; some fail; both objectives can be the same."""
    generation, rows, taken = made(name, seed), list[Evaluation](), set[str]()
    for number in range(count):
        proposal = generation.propose(number, rows, taken)
        assert proposal is not None
        taken.add(proposal.strategy.digest)
        failed: dict[str, Any] = {"error": "broken", "objectives": (), "scores": {}}
        row = scored(number, proposal.genome, **(failed if number in fail else {}))
        rows.append(replace(row, objectives=row.objectives[:1] * 2) if same else row)
    return rows


def _distinct(row: Evaluation, name: str = "") -> Evaluation:
    return replace(row, strategy=SimpleNamespace(digest=name or str(row.number)))  # type: ignore[arg-type]
