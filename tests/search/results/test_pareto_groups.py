"""Groups of strategies in the plot of the front."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from search.results.plots.pareto import MARKERS, group
from strategies import Strategy

OFF = {"guidance": {"mode": "off"}}
REUSED = {"deepcache": {"depth": ["full", 1] * 2}}


@pytest.mark.parametrize(
    ("origin", "methods", "expected"),
    [
        ("fewer-steps", {}, "fewer steps"),
        ("fewer-steps", OFF, "fewer steps"),
        ("nsga2", {}, "fewer steps"),
        ("grid", REUSED, "uniform and published schedules"),
        ("preset", OFF, "uniform and published schedules"),
        ("nsga2", OFF, "found"),
        ("combined", REUSED, "initial"),
    ],
)
def test_fewer_steps_without_guidance_are_fewer_steps(
    origin: str, methods: dict[str, Any], expected: str
) -> None:
    run: Any = SimpleNamespace(config=SimpleNamespace(proposer="nsga2"))
    one = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=4, calls=4, methods=methods
    )
    assert group(run, origin, one) == expected
    assert expected in MARKERS
