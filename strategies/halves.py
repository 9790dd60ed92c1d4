"""Which half of guidance runs at a call, and what that means for methods that keep something.

One rule holds for all of them. What a method keeps belongs to the half of guidance that computed
it. Where the unconditional half sits a call out at which the strategy computes something, its own
kept value is out of date, so that the next call with both halves computes it, for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strategies.knobs import Knobs


def caught_up(computes: Sequence[bool], both: Sequence[bool]) -> tuple[bool, ...]:
    """Whether each call computes, where the unconditional half may have sat out.

    Args:
        computes: whether the strategy computes at a call; the first always does.
        both: whether both halves run at a call.
    """
    found, behind = [], False
    for call, (asked, whole) in enumerate(zip(computes, both, strict=True)):
        made = asked or call == 0 or (whole and behind)
        behind = not whole if made else behind
        found.append(made)
    return tuple(found)


def settled(methods: Mapping[str, Knobs], calls: int) -> dict[str, Any]:
    """The methods of a strategy with what follows from the calls that guide with one half.

    Args:
        methods: knobs by name.
        calls: of the generation.
    """
    found: dict[str, Any] = {n: one.beside(methods, calls) for n, one in methods.items()}
    return {name: _after(one, found, calls) for name, one in found.items()}


def settled_one(knobs: Knobs, beside: Mapping[str, Knobs], calls: int) -> Knobs:
    """The same of one method, beside the others of a strategy."""
    others = {name: one for name, one in beside.items() if name != knobs.method}
    return _after(knobs.beside(others, calls), others, calls)


def _after(knobs: Knobs, methods: Mapping[str, Knobs], calls: int) -> Knobs:
    for one in methods.values():
        both = one.both(calls)
        if both is not None and not all(both):
            knobs = knobs.caught_up(both)
    return knobs
