"""Caption accuracy: share of a caption's statements that the bundled judge sees in the image."""

from __future__ import annotations

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import Metric, ReferenceKind, mean_of
from evaluate.statistics.distances import WeightedStatistic
from zoo.data import GROUPS
from zoo.portraits.words import SCORES

BOUNDS = (0.0, 1.0)


def _make(subject: str, column: int, kind: str) -> Metric:
    def prepare(side: ImageSet, _: ImageSet | None, __: ReferenceKind) -> WeightedStatistic:
        return mean_of(side.features("judge")[:, column], BOUNDS)

    title = f"{kind.replace('-', ' ')} right"
    return Metric(
        f"right-{kind}", title, "higher", "judge", prepare, ("alone",), "", bundled=True,
        subject=subject, form="{:.3f}", bounds=BOUNDS, margin=0.02,
    )  # fmt: skip


METRICS = tuple(
    _make(subject, column, kind)
    for subject, kinds in (("shapes", GROUPS), ("portraits", SCORES))
    for column, kind in enumerate(kinds)
)
