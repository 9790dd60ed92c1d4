"""Spaces composed of the methods of a family."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from search.spaces import with_calls
from strategies import SearchSpace, registered_methods

STEPS = (4, 7, 13)
CALLS = {
    (s, n): n + (s == "PNDMScheduler") for s in ("DDIMScheduler", "PNDMScheduler") for n in STEPS
}
FAMILIES = ("unet", "dit", "mmdit")


def of_family(family: str) -> list[str]:
    """Methods of a family that declare search choices."""
    kinds = {name: kind for name, kind in registered_methods().items() if family in kind.families}
    return [name for name, kind in kinds.items() if not kind.adaptive]


def space_of(family: str, methods: list[str], **more: Any) -> SearchSpace:
    """A composed space."""
    solvers = sorted({solver for solver, _ in CALLS})
    asked = {"schedulers": solvers, "steps": list(STEPS), "methods": methods} | more
    return with_calls(asked, family, CALLS)


@st.composite
def composed(draw: st.DrawFn) -> tuple[SearchSpace, tuple[int, ...]]:
    """A space composed of any methods of any family, and one of its genomes."""
    family = draw(st.sampled_from(FAMILIES))
    there = of_family(family)
    methods = draw(st.lists(st.sampled_from(there), min_size=1, max_size=len(there), unique=True))
    space = space_of(family, methods)
    return space, draw(st.tuples(*(st.integers(0, size - 1) for size in space.sizes)))
