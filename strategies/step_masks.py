"""cache-dit's four published steps masks, for any number of steps.

A mask names the steps of a generation at which all blocks are computed. cache-dit 1.5.3 (PyPI,
`steps_mask` in its user guide, "SCM: Steps Computation Masking") gives them as runs of computed and
of reused steps for 28 steps (FLUX.1), for 15, and for the 4, 6, 8 and 9 steps of distilled models.
Other numbers of steps follow from these runs by its rule: they grow above 28 steps and lose their
end below. The last step is always computed. A test compares all of them with the package.
"""

from __future__ import annotations

from strategies.errors import StrategyError
from strategies.text import brief

Runs = tuple[tuple[int, ...], tuple[int, ...]]  # Lengths of the computed and of the reused runs.
NAMES = ("slow", "medium", "fast", "ultra")
LONG, SHORT, LEAST = 28, 15, 8
TABLES: dict[int, tuple[Runs, Runs, Runs, Runs]] = {
    LONG: (
        ((8, 3, 3, 2, 1, 1), (1, 2, 2, 2, 3)),
        ((6, 2, 2, 2, 2, 1), (1, 3, 3, 3, 3)),
        ((6, 1, 1, 1, 1, 1), (1, 3, 4, 5, 4)),
        ((4, 1, 1, 1, 1), (2, 5, 6, 7)),
    ),
    SHORT: (
        ((4, 2, 2, 2, 1), (1, 1, 1, 1)),
        ((4, 2, 1, 1, 1), (1, 1, 2, 2)),
        ((3, 1, 1, 1, 1), (1, 2, 2, 3)),
        ((2, 1, 1, 1, 1), (1, 2, 3, 3)),
    ),
    9: (((5, 2, 1), (1,)), ((5, 1, 1), (1, 1)), ((4, 1, 1), (1, 2)), ((3, 1, 1), (2, 2))),
    8: (((5, 1, 1), (1,)), ((4, 1, 1), (1, 1)), ((3, 1, 1), (1, 2)), ((2, 1, 1), (2, 2))),
    6: (((3, 1), (2,)),) * 4,
    4: (((2, 1), (1,)),) * 4,
}


def covers(steps: int) -> bool:
    """Whether there are masks for so many steps."""
    return steps >= LEAST or steps in TABLES


def published_mask(name: str, steps: int) -> tuple[bool, ...]:
    """Flags of the steps that a published mask computes.

    Args:
        name: one of `NAMES`.
        steps: number of steps of the generation.

    Raises:
        StrategyError: an unknown name, or too few steps: cache-dit has masks for 4, 6 and from 8.
    """
    if name not in NAMES:
        raise StrategyError(f"mask {brief(name)} is unknown; there are {', '.join(NAMES)}")
    if not covers(steps):
        raise StrategyError(f"cache-dit has no mask for {steps} steps; it has 4, 6, and 8 or more")
    base = steps if steps in TABLES else LONG if steps > SHORT else SHORT
    computed, reused = map(list, TABLES[base][NAMES.index(name)])
    if steps > LONG:
        _grow(computed, reused, steps)
    _shrink(computed, reused, steps)
    found = _laid(computed, reused)
    # Where the runs are too short, the rest is reused but for the last step.
    return (*found[: steps - 1], True)


def _grow(computed: list[int], reused: list[int], steps: int) -> None:
    """Lengthen the runs in turn until they reach the number of steps."""
    pairs = [*zip(computed, reused, strict=False)]
    while True:
        for i, (full, cached) in enumerate(pairs):
            for runs, length in ((computed, full), (reused, cached)):
                runs[i] += max(1, int(length * ((steps / LONG) * 0.5)))
                if sum(computed) + sum(reused) >= steps:
                    return
        computed[-1] += 1
        if sum(computed) + sum(reused) >= steps:
            return


def _shrink(computed: list[int], reused: list[int], steps: int) -> None:
    """Take steps from the last reused run and the last computed run in turn."""
    while True:
        for runs in (reused, computed):
            if sum(computed) + sum(reused) <= steps:
                return
            if runs:
                runs[-1] -= 1
                if runs[-1] == 0:
                    runs.pop()


def _laid(computed: list[int], reused: list[int]) -> list[bool]:
    """Runs one after the other, a computed one first."""
    found: list[bool] = []
    for i in range(max(len(computed), len(reused))):
        for runs, flag in ((computed, True), (reused, False)):
            found += [flag] * (runs[i] if i < len(runs) else 0)
    return found
