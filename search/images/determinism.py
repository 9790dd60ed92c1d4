"""Whether the unaccelerated model draws the same image twice from the same prompt and noise.

Every candidate is compared with the unaccelerated images of its own prompts and noise. Where the
model draws another image each time, such figures are noise, so the search does not begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.workers.worker import Request
from strategies import StrategyError, dump

if TYPE_CHECKING:
    from search.engine.engine import Engine

NOTE = "repeats"
APART = 1.0  # Mean difference, in levels of 255, that a device's rounding does not come to.


def request(engine: Engine, limit: float | None = None) -> Request:
    """To draw the first prompt twice with the unaccelerated model."""
    return Request(NOTE, NOTE, ([dump(engine.baseline)],), limit)


def check(engine: Engine) -> None:
    """Draw the first prompt twice, where the study has not noted that it repeats.

    Raises:
        StrategyError: the images differ, or the unaccelerated pipeline failed.
    """
    study = engine.study
    if study.noted(NOTE) is not None:
        return
    engine.say("drawing the first prompt twice")
    outcome = engine.executor.alone(request(engine, engine.patience(2)))
    engine.must(outcome)
    (apart,) = outcome.value
    if not apart <= APART:
        raise StrategyError(
            f"the model {engine.config.model.name} draws another image each time from the same "
            f"prompt and seed (two differ by {apart:.1f} of 255 levels on average), so no strategy "
            "can be compared with it; see that the pipeline takes all its noise from the "
            "generator that it is given"
        )
    study.enter(NOTE, {NOTE: apart}, outcome.seconds)
