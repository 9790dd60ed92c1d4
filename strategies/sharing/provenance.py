"""Provenance of a strategy's scores: whether they belong to it, and what it lacks to be trusted."""

from __future__ import annotations

from strategies.errors import StrategyError
from strategies.strategy import SCORED, Strategy

NEEDED = ("model", "device", "dtype", "resolution", "versions")


def check_provenance(strategy: Strategy, origin: str) -> None:
    """Check that the scores belong to this very strategy.

    Args:
        strategy: strategy read from a file.
        origin: beginning of the error message.

    Raises:
        StrategyError: it was changed after it was scored.
    """
    scored = strategy.provenance.get(SCORED)
    if scored is not None and scored != strategy.digest:
        raise StrategyError(
            f"{origin}: its scores are of a strategy with digest {str(scored)[:12]}, but this one "
            f"has {strategy.digest[:12]}: it was changed after it was scored. Score it again, or "
            f"remove scores, baseline and provenance.{SCORED}"
        )


def missing_parts(strategy: Strategy) -> list[str]:
    """Parts that its file lacks: scores, their intervals, and the conditions of the measurement."""
    if not strategy.scores:
        return ["scores"]
    found = [] if strategy.scores.get("intervals") else ["scores.intervals"]
    wanted = (*NEEDED, SCORED)
    return found + [f"provenance.{name}" for name in wanted if name not in strategy.provenance]
