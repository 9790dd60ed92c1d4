"""Check that the unaccelerated model generates the same image twice from one prompt and its noise.

Every candidate is compared with the unaccelerated images of its own prompts and noise. If the model
generates another image each time, such scores are noise, so the search does not begin.
"""

from __future__ import annotations

from pathlib import Path

from search.study.measurements import Measurements
from search.study.required import require_success
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import RepeatRequest
from strategies import Strategy, StrategyError

APART = 1.0  # Mean difference, in levels of 255, that a device's rounding does not come to.


def request(strategy: Strategy, limit: float | None = None) -> RepeatRequest:
    """Request for the first prompt, twice, with the unaccelerated model."""
    return RepeatRequest(key="repeats", time_limit=limit, strategy=strategy)


def check_determinism(
    study: Study, executor: Executor, strategy: Strategy, limit: float | None, model: str, run: Path
) -> None:
    """Generate the first prompt twice, unless the study has noted that it repeats.

    Args:
        study: log of the run.
        executor: workers.
        strategy: the unaccelerated pipeline as a strategy.
        limit: seconds after which the request is cancelled; None waits for ever.
        model: name of the model.
        run: folder of the run.

    Raises:
        StrategyError: the images differ, or the unaccelerated pipeline failed.
    """
    measured = Measurements(study)
    if measured.repeatability is not None:
        return
    outcome = executor.run_exclusive(request(strategy, limit))
    apart = require_success(outcome, run)
    if not apart <= APART:
        raise StrategyError(
            f"the model {model} generates another image each time from the same "
            f"prompt and seed (two differ by {apart:.1f} of 255 levels on average), so no strategy "
            "can be compared with it; see that the pipeline takes all its noise from the "
            "generator that it is given"
        )
    measured.keep_repeatability(apart, outcome.seconds)
