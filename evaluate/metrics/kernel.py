"""What all kernel distances share; they differ in network and kernel. Unbiased for any n."""

from __future__ import annotations

from evaluate.distances import Kernel, Statistic, Weights, kernel_paired, kernel_statistic
from evaluate.metrics.base import SETS, Metric, View, other
from evaluate.side import Side


def make(
    name: str, title: str, network: str, kernel: Kernel, scale: float, paper: str, reported: str
) -> Metric:
    """An unbiased squared MMD over a network's features, times `scale` (Gretton et al., 2012)."""

    def prepare(side: Side, against: Side | None, view: View) -> Statistic:
        mine, theirs = side.features(network), other(against).features(network)
        pair = kernel_paired if view == "base" else kernel_statistic
        statistic = pair(mine, theirs, kernel)

        def value(weights: Weights) -> float:
            return scale * statistic(weights)

        return value

    return Metric(
        name, title, "lower", network, prepare, SETS, paper, reported, form="{:.3f}",
        bundled=network == "bundled",
    )  # fmt: skip
