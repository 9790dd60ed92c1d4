"""Latency table: seconds of each kind of call, and the latency of a strategy predicted from them.

It is data, and is read without torch; `evaluate.speed.latency_measurement` measures it.
"""

from __future__ import annotations

from pydantic import BaseModel, PrivateAttr

from accel.models.tasks import skipped
from evaluate.speed.call_kinds import Kinds
from strategies import Strategy, StrategyError


class LatencyTable(BaseModel):
    """Measured seconds.

    Attributes:
        fixed: seconds of a generation without its loop.
        solver: seconds around the denoiser at each call, by solver in its short form.
        kinds: seconds of the denoiser by kind of call (`Strategy.kinds`).
        spread: half the interquartile range of each kind, as a share of its median.
        device: name of the device.
        share: share of a schedule's calls that a run makes; see `ModelConfig.share`.
    """

    fixed: float
    solver: dict[str, float]
    kinds: dict[str, float]
    spread: dict[str, float]
    device: str
    share: float = 1.0
    _costs: Kinds | None = PrivateAttr(default=None)

    def predict(self, strategy: Strategy) -> float:
        """Predicted seconds of one image.

        Raises:
            StrategyError: a solver, or an act of a method at a call, was not measured.
        """
        if strategy.solver_text not in self.solver:
            raise StrategyError(f"the latency table has no entry for {strategy.solver_text!r}")
        made = kinds_made(strategy, self.share)
        calls = sum(map(self._kinds().cost, made))
        return self.fixed + len(made) * self.solver[strategy.solver_text] + calls

    def seconds(self, kind: str) -> float:
        """Seconds of a kind of call, measured or composed; see `evaluate.speed.call_kinds`.

        Raises:
            StrategyError: an act of a method was not measured.
        """
        return self._kinds().cost(kind)

    def _kinds(self) -> Kinds:
        """Costs of kinds; made again where the measured ones were replaced."""
        if self._costs is None or self._costs.measured is not self.kinds:
            self._costs = Kinds(self.kinds)
        return self._costs


def kinds_made(strategy: Strategy, share: float) -> tuple[str, ...]:
    """The kinds of the calls that a run makes; see `ModelConfig.share`."""
    first = skipped(strategy.family, strategy.scheduler, strategy.steps, share)
    return strategy.kinds()[first:]
