"""Budgets as they are written, and settings that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from search import budget, config, spaces
from strategies import StrategyError
from tests.support.runs.engines import SCHEDULER


@pytest.mark.parametrize(
    ("text", "seconds", "evaluations"),
    [
        ("20gpuh", 72000, None),
        ("90m", 5400, None),
        ("1.5h", 5400, None),
        ("45s", 45, None),
        ("600evals", None, 600),
    ],
)
def test_budgets(text: str, seconds: float | None, evaluations: int | None) -> None:
    parsed = budget.parse_budget(text)
    assert (parsed.seconds, parsed.evaluations) == (seconds, evaluations)


@pytest.mark.parametrize(
    "text", ["20 gpu", "", "gpuh", "-5m", "0m", "1.5evals", "5days", "nanm", "infh"]
)
def test_bad_budgets(text: str) -> None:
    with pytest.raises(StrategyError, match="20gpuh"):
        budget.parse_budget(text)


def test_bad_settings_are_named() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"images": 1}, "images"),
        ({"workers": -1}, "workers"),
        ({"space": "nowhere"}, "space 'nowhere' is unknown"),
        ({"steps": [0]}, "steps must be whole numbers"),
        ({"schedulers": ["NoScheduler"]}, "NoScheduler"),
    ]
    for flags, message in cases:
        with pytest.raises(StrategyError, match=message):
            settings = config.resolve("tiny-sd", flags)
            spaces.make_space(settings.space, "unet", SCHEDULER)
    with pytest.raises(
        StrategyError,
        match=r"model 'sd99' is unknown; there are .*tiny-pixart, tiny-portraits, tiny-sd",
    ):
        config.resolve("sd99", {})
