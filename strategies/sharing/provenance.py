"""What a strategy file has to say for its scores to be believed elsewhere, and whether it does."""

from __future__ import annotations

from strategies.errors import StrategyError
from strategies.strategy import SCORED, Strategy

NEEDED = ("model", "device", "dtype", "resolution", "versions")


def check(strategy: Strategy, origin: str) -> None:
    """See that the scores are of this very strategy.

    Args:
        strategy: as read from a file.
        origin: starts the error message.

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


def missing(strategy: Strategy) -> list[str]:
    """What it does not say: figures, their intervals, and what they were measured on."""
    if not strategy.scores:
        return ["scores"]
    found = [] if strategy.scores.get("intervals") else ["scores.intervals"]
    wanted = (*NEEDED, SCORED)
    return found + [f"provenance.{name}" for name in wanted if name not in strategy.provenance]
