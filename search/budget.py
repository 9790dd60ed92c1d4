"""Budget of a search: device time or evaluations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

from strategies import StrategyError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "gpus": 1, "gpum": 60, "gpuh": 3600}


@dataclass(frozen=True)
class Budget:
    """Busy seconds of all workers together, or a number of evaluations; the other is None."""

    seconds: float | None = None
    evaluations: int | None = None

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.evaluations} evaluations"
        return f"{self.seconds / 60:.3g} minutes of device time"


def parse_budget(text: str) -> Budget:
    """Read `20gpuh`, `90m`, `45s`, `1.5h` or `600evals`.

    Raises:
        StrategyError: anything else, or nothing to spend.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]+)", text.strip())
    amount, unit = (float(match[1]), match[2]) if match else (0.0, "")
    if unit == "evals" and amount >= 1 and amount == int(amount):
        return Budget(evaluations=int(amount))
    if unit in _SECONDS and amount > 0:
        return Budget(seconds=amount * _SECONDS[unit])
    if match and not amount and unit in (*_SECONDS, "evals"):
        raise StrategyError(f"budget {text!r} is nothing; give more, such as 20gpuh or 600evals")
    raise StrategyError(
        f"budget {text!r} is not understood; give device time such as 20gpuh, 90m or 45s, or a "
        "number of evaluations such as 600evals, without a space"
    )


def budget_text(seconds: float) -> str:
    """Device time of at least `seconds` seconds as `parse_budget` reads it, such as `24m`."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= 10 * size:
            return f"{ceil(seconds / size)}{unit}"
    return f"{ceil(seconds)}s"


def twice(text: str, spent: float) -> str:
    """Twice a budget, and more than was spent, in words that `parse_budget` reads."""
    budget = parse_budget(text)
    if budget.evaluations is not None:
        return f"{2 * budget.evaluations}evals"
    assert budget.seconds is not None
    return budget_text(2 * max(budget.seconds, spent))
