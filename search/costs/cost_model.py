"""Costs of strategies that follow from what was measured of the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evaluate.speed.call_kinds import Kinds
from evaluate.speed.latency_table import LatencyTable, kinds_made
from search.study.measurements import WholeGeneration
from strategies import Strategy


def _unmeasured(_: str) -> None:
    """No whole generations are known."""


class CostModel:
    """Latency, speedup and multiply-accumulates of strategies, without running them.

    They follow from tables of kinds of calls. Strategies whose calls are of no kind are measured as
    a whole; until then they count as if their calls were made one by one.

    Args:
        table: latency table of the device.
        macs: multiply-accumulates by kind of call; None where they are not counted.
        unaccelerated: the unaccelerated pipeline as a strategy.
        share: share of a schedule's calls that a run makes; see `ModelConfig.share`.
        whole: measured costs of a strategy that the tables cannot have, by its digest.
    """

    def __init__(
        self,
        table: LatencyTable,
        macs: Mapping[str, float] | None,
        unaccelerated: Strategy,
        share: float,
        whole: Callable[[str], WholeGeneration | None] = _unmeasured,
    ) -> None:
        self.table, self.unaccelerated, self._whole = table, unaccelerated, whole
        self._macs, self._share = None if macs is None else Kinds(macs), share

    def latency(self, strategy: Strategy) -> float:
        """Seconds of one image, measured as a whole or by the latency table."""
        found = self._whole(strategy.digest) if strategy.is_adaptive else None
        if found is not None:
            return found.ratio * self.table.predict(self.unaccelerated)
        return self.tabulated(strategy)

    def tabulated(self, strategy: Strategy) -> float:
        """Seconds of one image by the latency table alone, which evaluations do not change."""
        return self.table.predict(_one_by_one(strategy))

    def of(self, strategy: Strategy) -> dict[str, float]:
        """Latency, speedup and, where they are counted, multiply-accumulates, by their names."""
        seconds = self.latency(strategy)
        found = {"latency_s": seconds, "speedup": self.latency(self.unaccelerated) / seconds}
        if self._macs is not None:
            whole = self._whole(strategy.digest) if strategy.is_adaptive else None
            if whole is not None and whole.macs is not None:
                return found | {"macs": whole.macs}
            made = kinds_made(_one_by_one(strategy), self._share)
            found["macs"] = sum(map(self._macs.cost, made))
        return found


def _one_by_one(strategy: Strategy) -> Strategy:
    """The strategy without methods whose calls are of no kind."""
    if not strategy.is_adaptive:
        return strategy
    methods = {name: one for name, one in strategy.methods.items() if not one.adaptive}
    return strategy.model_copy(update={"methods": methods})
