"""Responses without which there is no search."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import cast

from search.study.score_checks import USUAL
from search.workers.executor import LATE
from search.workers.messages import A, Response
from strategies import StrategyError


def require_success(
    outcome: Response[A], folder: Path, what: str = "the unaccelerated pipeline"
) -> A:
    """The answer to a request that every search depends on.

    Args:
        outcome: response of a worker.
        folder: folder of the run, for the command that continues it.
        what: name of what was asked for.

    Raises:
        StrategyError: the request failed; says why, and what may help.
    """
    if not outcome.error:
        return cast(A, outcome.value)
    more = f"; {USUAL}" if "NaN" in outcome.error else ""
    if outcome.error.startswith(LATE):
        more = (
            "; where it only needs longer, continue with: python -m search --resume "
            f"{quote(str(folder))} --timeout SECONDS"
        )
    raise StrategyError(f"{what} failed: {outcome.error}{more}")
