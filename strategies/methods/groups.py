"""Knobs that decide for groups of consecutive blocks whether something is computed.

A list of G values is for G groups: block i of L is in group i * G // L. One value is for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StrictBool

from strategies.data_files.limits import MAX_GROUPS
from strategies.errors import StrategyError
from strategies.schedules import rescale

Groups = Annotated[tuple[StrictBool, ...], Field(min_length=1)]
Computed = StrictBool | Groups
Stream = tuple[bool, ...]  # Whether one group is computed, for each call.


def read_groups(given: Any, knobs: Sequence[str]) -> Any:
    """Refuse lists that do not fit together; a list of one repeated value becomes that value.

    Args:
        given: fields of a method, `[call]` or `[call][group]` for each knob.
        knobs: names of the knobs by groups.

    Raises:
        ValueError: lists do not fit; names the knob, the call and what is allowed.
    """
    if not isinstance(given, dict):
        return given
    found, first, groups = dict(given), "", 0
    for name in knobs:
        values = given.get(name)
        if not isinstance(values, list | tuple):
            continue
        for call, value in enumerate(values):
            where = f"{name}[{call}]"
            items = value if isinstance(value, list | tuple) else [value]
            if not items or not all(isinstance(item, bool) for item in items):
                raise ValueError(
                    f"{where} is {value!r:.80}; give true, false, or a list of these with one "
                    "value for each group of blocks"
                )
            if isinstance(value, list | tuple):
                if len(value) > MAX_GROUPS:
                    raise ValueError(
                        f"{where} has {len(value)} groups of blocks; at most {MAX_GROUPS} are "
                        "allowed"
                    )
                if first and len(value) != groups:
                    raise ValueError(
                        f"{where} has {len(value)} groups of blocks, but {first} has {groups}; "
                        "give all lists the same length"
                    )
                first, groups = first or where, len(value)
        found[name] = tuple(single_value(value) for value in values)
    return found


def count_groups(lists: Sequence[Sequence[Computed]]) -> int:
    """Number of groups of blocks in lists; 1 without lists."""
    rows = (value for values in lists for value in values)
    return next((len(value) for value in rows if isinstance(value, tuple)), 1)


def stream(values: Sequence[Computed], group: int) -> Stream:
    """Whether one group is computed, for each call."""
    return tuple(value[group] if isinstance(value, tuple) else value for value in values)


def group_of(method: str, block: int, blocks: int, groups: int) -> int:
    """The group of a block.

    Raises:
        StrategyError: fewer blocks than groups.
    """
    if blocks < groups:
        raise StrategyError(
            f"methods.{method} has lists for {groups} groups of blocks, but the model has "
            f"{blocks} blocks; give at most {blocks} values per list"
        )
    return block * groups // blocks


def merged_streams(streams: Sequence[Stream]) -> tuple[Computed, ...]:
    """Streams of groups as one value for each call."""
    return tuple(single_value(values) for values in zip(*streams, strict=True))


def stretched(one: Stream, calls: int) -> Stream:
    """A stream for another number of calls: as large a share of computed calls, as dense in time.

    The first call always computes.
    """
    chosen = [call for call, value in enumerate(one) if value or call == 0]
    full = set(rescale(chosen, len(one), calls))
    return tuple(call == 0 or call in full for call in range(calls))


def single_value(value: Any) -> Any:
    """The repeated value of a list of one value, or another list as a tuple."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if len(set(value)) == 1 else tuple(value)
