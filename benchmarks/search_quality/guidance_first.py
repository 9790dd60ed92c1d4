"""The joint search against guidance first, caching after, at the same device time.

    python -m benchmarks run guidance_first --draw runs/guided --budget 12m --seeds 0 1 2 3 4

OUSAC (Sun et al., arXiv 2512.14096) first evolves which calls are guided and how strongly, and then
chooses what is cached under the guidance that it has found. Its operators are not published in what
this project could read, so only the order is theirs: both searches have the same space, initial
strategies and operators. Up to the middle of its evaluations the baseline's children use guidance,
solver and steps alone; from then on they inherit these from their mother, and only the other
methods change. Where half of the evaluations is, follows from the joint search of the same seed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmarks.search_quality.wide_space import compare, facts, parser, search, volumes
from search.proposers import PROPOSERS
from search.proposers.base import ProposerSettings
from search.proposers.nsga2 import NSGA2
from search.results.run import Run
from search.study.history import History
from strategies.genomes.genes import Gene
from strategies.genomes.space import GLOBALS, Genome

GUIDANCE = "guidance"


class GuidanceFirst(NSGA2):
    """NSGA-II whose children change guidance first and everything else after."""

    name = "guidance-first"
    summary = "guidance first, caching after"
    half: ClassVar[int] = 100  # Number of the first proposal that caches.

    def __init__(self, settings: ProposerSettings) -> None:
        super().__init__(settings)
        space = self.space
        whole = [GLOBALS + i for i, one in enumerate(space.global_genes) if self._guides(one)]
        slots = [
            space.global_count + slot * space.genes_per_slot + offset
            for slot in range(space.slots)
            for offset, one in enumerate(space.call_genes)
            if self._guides(one)
        ]
        self._first = np.array([*range(GLOBALS), *whole, *slots])

    @staticmethod
    def _guides(gene: object) -> bool:
        return isinstance(gene, Gene) and gene.method == GUIDANCE

    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        child = np.array(super().breed(mother, father, rng))
        found = np.zeros_like(child) if self._begins else child
        source = child if self._begins else np.array(mother)
        found[self._first] = source[self._first]
        return tuple(int(index) for index in found)

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        self._begins = number < self.half
        return super().genome(number, attempt, history)


def main(arguments: list[str] | None = None) -> int:
    """Draw, compare and write `guidance-first-MODEL.json`."""
    made = parser()
    made.set_defaults(wide="unet-guided", draw=Path("runs/guided"))
    flags = made.parse_args(arguments)
    PROPOSERS[GuidanceFirst.name] = GuidanceFirst
    joint: list[Run] = []
    staged: list[Run] = []
    rest = list(flags.flags)
    for seed in flags.seeds:
        flags.flags = rest
        joint.append(search(flags.draw / f"wide-{seed}", flags.wide, seed, flags))
        asked = {one.number for one in joint[-1].study.evaluations}
        GuidanceFirst.half = len(asked) // 2
        flags.flags = [*rest, "--proposer", GuidanceFirst.name]
        staged.append(search(flags.draw / f"guidance-first-{seed}", flags.wide, seed, flags))
    measured = volumes([*joint, *staged])
    rows = {
        label: {
            str(seed): facts(run) | one
            for seed, run, one in zip(flags.seeds, drawn, found, strict=True)
        }
        for label, drawn, found in (
            ("joint", joint, measured[: len(joint)]),
            ("guidance first", staged, measured[len(joint) :]),
        )
    }
    sides = ([one["hypervolume"] for one in rows[label].values()] for label in rows)
    found = compare(*sides)
    asked_for = {"model": flags.model, "budget": flags.budget, "seeds": flags.seeds,
                 "space": flags.wide}  # fmt: skip
    flags.out.mkdir(parents=True, exist_ok=True)
    path = flags.out / f"guidance-first-{flags.model}.json"
    told = {"asked": asked_for, "compared": {"hypervolume": found}, "runs": rows}
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"hypervolume: joint {found['wide']:.4f}, guidance first {found['narrow']:.4f}, p of the "
          f"joint one being higher {found['p_wide_is_higher']:.3f}")  # fmt: skip
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
