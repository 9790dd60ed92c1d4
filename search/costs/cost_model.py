"""Costs of strategies that follow from what was measured of the device."""

from __future__ import annotations

from collections.abc import Mapping

from evaluate.speed.call_kinds import Kinds
from evaluate.speed.latency_table import LatencyTable, kinds_made
from strategies import Strategy


class CostModel:
    """Latency, speedup and multiply-accumulates of strategies, without running them.

    Args:
        table: latency table of the device.
        macs: multiply-accumulates by kind of call; None where they are not counted.
        unaccelerated: the unaccelerated pipeline as a strategy.
        share: share of a schedule's calls that a run makes; see `ModelConfig.share`.
    """

    def __init__(
        self,
        table: LatencyTable,
        macs: Mapping[str, float] | None,
        unaccelerated: Strategy,
        share: float,
    ) -> None:
        self.table, self.unaccelerated = table, unaccelerated
        self._macs, self._share = None if macs is None else Kinds(macs), share

    def latency(self, strategy: Strategy) -> float:
        """Seconds of one image, by the latency table."""
        return self.table.predict(strategy)

    def of(self, strategy: Strategy) -> dict[str, float]:
        """Latency, speedup and, where they are counted, multiply-accumulates, by their names."""
        seconds = self.latency(strategy)
        found = {"latency_s": seconds, "speedup": self.latency(self.unaccelerated) / seconds}
        if self._macs is not None:
            found["macs"] = sum(map(self._macs.cost, kinds_made(strategy, self._share)))
        return found
