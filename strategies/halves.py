"""Halves of guidance that run at each call, and their effect on methods that keep results.

One rule holds for all methods. A kept result belongs to the half of guidance that computed it. If
the unconditional half is left out at a call at which the strategy computes something, its own kept
result is out of date. The next call with both halves then computes it, for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strategies.knobs import Knobs


def caught_up(computes: Sequence[bool], both: Sequence[bool]) -> tuple[bool, ...]:
    """Whether each call computes, if the unconditional half is left out at some calls.

    Args:
        computes: whether the strategy computes at each call; the first always does.
        both: whether both halves run at each call.
    """
    found, behind = [], False
    for call, (asked, whole) in enumerate(zip(computes, both, strict=True)):
        made = asked or call == 0 or (whole and behind)
        behind = not whole if made else behind
        found.append(made)
    return tuple(found)


def settled(methods: Mapping[str, Knobs], calls: int) -> dict[str, Any]:
    """Methods of a strategy, adjusted to calls that run one half of guidance.

    Args:
        methods: knobs by name.
        calls: number of calls of the generation.
    """
    found: dict[str, Any] = {n: one.beside(methods, calls) for n, one in methods.items()}
    for name, one in found.items():  # Others follow the calls that this leaves to be whole.
        while one.whole(calls) is not None and (after := _after(one, found, calls)) != one:
            found[name] = one = after
    while True:  # What is computed besides may be of one half again.
        now = {name: _after(one, found, calls) for name, one in found.items()}
        if all(now[name] is found[name] or now[name] == found[name] for name in now):
            return now
        found = now


def settled_one(knobs: Knobs, beside: Mapping[str, Knobs], calls: int) -> Knobs:
    """One method of a strategy, adjusted to the other methods."""
    found: Knobs = settled({**beside, knobs.method: knobs}, calls)[knobs.method]
    return found


def _after(knobs: Knobs, methods: Mapping[str, Knobs], calls: int) -> Knobs:
    for one in methods.values():
        both = one.both(calls)
        if both is not None and not all(both):
            knobs = knobs.caught_up(both)
        whole = one.whole(calls)
        if whole is not None and not all(whole):
            knobs = knobs.shortened(whole)
    return knobs
