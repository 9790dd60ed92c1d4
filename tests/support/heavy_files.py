"""Strategy files as heavy as the format allows, or heavier; harmless to a reader with limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from strategies.data_files.limits import (
    MAX_BLOCKS,
    MAX_BYTES,
    MAX_CALLS,
    MAX_DEPTH,
    MAX_GROUPS,
    MAX_VALUES,
)

BASE: dict[str, Any] = {
    "schema": 1,
    "family": "unet",
    "scheduler": "DDIMScheduler",
    "steps": 4,
    "calls": 4,
    "methods": {"deepcache": {"depth": ["full", 1, "full", 0]}},
}
EACH = MAX_VALUES // MAX_BLOCKS - 2  # Calls of each block, where there are as many as may be.


def nested(depth: int) -> str:
    return json.dumps(BASE)[:-1] + ', "scores": {"a": ' + "[" * depth + "0" + "]" * depth + "}}"


def blocks(count: int, calls: int, each: int) -> dict[str, Any]:
    chosen = list(range(0, calls, max(1, calls // each)))[:each]
    return {"blockcache": {"refresh": {f"block.{i:03}": chosen for i in range(count)}}}


def groups(calls: int, grouped: int, count: int = MAX_GROUPS) -> dict[str, Any]:
    """FORA with lists of groups at some calls, each group with a schedule of its own."""
    lists = [[(call * group) % 7 != 1 for group in range(count)] for call in range(grouped)]
    column = [*lists, *([False] * (calls - grouped))]
    return {"fora": {"attn": column, "mlp": column, "order": 2}}


def full(calls: int, **methods: Any) -> dict[str, Any]:
    return BASE | {"steps": calls, "calls": calls, "methods": methods}


def many(calls: int) -> dict[str, Any]:
    """A file whose per-call lists are as long as they may be."""
    turns = ["full", *(1 + call % 9 for call in range(calls - 1))]
    spread = [round(0.001 * (call % 700), 3) for call in range(calls)]
    return full(
        calls,
        deepcache={"depth": turns, "order": 2},
        catome={
            "threshold": [1.0 if call % 3 else 0.5 for call in range(calls)],
            "checkpoints": list(range(0, calls, 2)),
        },
        tome={"ratio": [0.0 if call % 3 == 0 else spread[call] for call in range(calls)]},
        tgate={"gate": calls // 2, "self_interval": 3},
        **blocks(40, calls, calls // 2),
    )


def _below(name: str, depth: int, inside: dict[str, Any]) -> dict[str, Any]:
    for _ in range(depth):
        inside = {name: inside}
    return inside


HEAVY: dict[str, Callable[[], str]] = {
    "lists as long as they may be": lambda: json.dumps(many(MAX_CALLS)),
    "as many blocks as there may be": lambda: json.dumps(
        full(MAX_CALLS, **blocks(MAX_BLOCKS, MAX_CALLS, EACH))
    ),
    "as many groups as there may be": lambda: json.dumps(
        full(MAX_CALLS) | {"family": "dit", "methods": groups(MAX_CALLS, 90)}
    ),
    "cat from the last call on": lambda: json.dumps(
        full(MAX_CALLS)
        | {"family": "dit", "methods": {"cat": {"alpha": [0.5, 0.4] * 1000, "start": 1998}}}
    ),
    "as many values as there may be": lambda: json.dumps(
        BASE | {"scores": {str(i): i for i in range(MAX_VALUES - 1_000)}}
    ),
    "long names over many values": lambda: json.dumps(
        BASE
        | {
            "scores": _below(
                "n" * 200, MAX_DEPTH - 2, {str(i): 0 for i in range(MAX_VALUES - 1_000)}
            )
        }
    ),
    "values of one name in many lists": lambda: json.dumps(
        BASE | {"scores": {"a": [[]] * (MAX_VALUES // 2 - 1_000)}}
    ),
    "many unknown fields": lambda: json.dumps(
        BASE | {f"f{i}": 0 for i in range(MAX_VALUES - 1_000)}
    ),
    "many unknown knobs": lambda: json.dumps(
        BASE
        | {"methods": {"tome": {"ratio": 0.5} | {f"f{i}": 0 for i in range(MAX_VALUES - 1_000)}}}
    ),
    "many wrong values": lambda: json.dumps(
        full(MAX_CALLS, deepcache={"depth": [{}] * MAX_CALLS, "order": ["x"] * MAX_CALLS})
    ),
    "many wrong calls of blocks": lambda: json.dumps(
        full(4, blockcache={"refresh": {f"b{i}": ["x"] * EACH for i in range(MAX_BLOCKS)}})
    ),
    "a name that is much like a method's": lambda: json.dumps(
        BASE | {"methods": {"deepcache" * 400_000: {}}}
    ),
    "a field given twice among many": lambda: (
        json.dumps(BASE)[:-1]
        + ', "scores": {'
        + ", ".join(f'"k{i}": 0' for i in range(MAX_VALUES - 1_000))
        + ', "k98999": 1}}'
    ),
    "empty objects": lambda: "[" + ",".join(["{}"] * 1_300_000) + "]",
    "empty texts": lambda: "[" + ",".join(['""'] * 1_300_000) + "]",
    "quotes alone": lambda: '"' * MAX_BYTES,
    "escaped quotes that never end": lambda: '"' + '\\"' * (MAX_BYTES // 2 - 1),
    "brackets alone": lambda: "[" * MAX_BYTES,
    "a whole number of all digits": lambda: "9" * MAX_BYTES,
    "a number of all digits": lambda: (
        json.dumps(BASE)[:-1] + ', "scores": {"a": 0.' + "9" * (MAX_BYTES - 300) + "}}"
    ),
    "one long text": lambda: json.dumps(BASE | {"name": "x" * (MAX_BYTES - 300)}),
    "one long text of a terminal's signs": lambda: json.dumps(
        BASE | {"provenance": {"a": "\x1b[2J" * 4_000}}, ensure_ascii=False
    ),
    "marks on one letter": lambda: json.dumps(
        BASE | {"provenance": {"a" + "\u0323\u0301" * 90: 0}}, ensure_ascii=False
    ),
}
