"""Rows of the comparison of searches: quartiles over seeds, and tests against Stratagem."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_quality.significance import KINDS, p_greater


@dataclass(frozen=True)
class Mark:
    """State of a run after a number of evaluations."""

    evaluations: int
    device: float
    volumes: dict[str, float]


def read(target: Path, setting: dict[str, Any]) -> dict[str, list[list[Mark]]]:
    """Curves of an earlier run of the same setting, by optimizer."""
    if not target.exists():
        return {}
    told = json.loads(target.read_text(encoding="utf-8"))
    if any(told.get(key) != value for key, value in setting.items()):
        return {}
    return {
        one["name"]: [
            [
                Mark(int(mark), at["devices_s"][i], {k: at["volumes"][k][i] for k in KINDS})
                for mark, at in one["at"].items()
            ]
            for i in range(setting["seeds"])
        ]
        for one in told["rows"]
    }


def middle(curves: Sequence[Sequence[Mark]], place: int) -> float:
    return float(np.median([curve[place].volumes["logarithmic"] for curve in curves]))


def row(
    name: str, curves: Sequence[Sequence[Mark]], ours: Sequence[Sequence[Mark]]
) -> dict[str, Any]:
    """Quartiles of hypervolume at each mark, and the chance that Stratagem is not better."""
    at: dict[int, dict[str, Any]] = {}
    for place, mark in enumerate(curves[0]):
        seconds = [round(curve[place].device, 1) for curve in curves]
        volumes = {k: [curve[place].volumes[k] for curve in curves] for k in KINDS}
        entry: dict[str, Any] = {"devices_s": seconds, "volumes": volumes}
        for kind, values in volumes.items():
            mine = [curve[place].volumes[kind] for curve in ours]
            entry[kind] = [round(float(q), 4) for q in np.quantile(values, [0.25, 0.5, 0.75])]
            if ours and name != "Stratagem":
                entry[f"{kind}_p"] = p_greater(mine, values)
        at[mark.evaluations] = entry
    return {"name": name, "at": at}
