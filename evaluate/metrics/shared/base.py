"""The interface of a metric: from two sides of a comparison to a number for every resample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evaluate.image_set import Side
from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from evaluate.statistics.distances import Statistic
from evaluate.statistics.means import Bounds, mean_of

View = Literal["real", "self", "base", "alone"]
# Networks to what two images of the same size are beside each other.
Compare = Callable[[Networks], Callable[[Pixels, Pixels], float]]
SETS: tuple[View, ...] = ("real", "self", "base")
VIEWS: dict[View, str] = {
    "real": "to the reference",
    "self": "to the unaccelerated model at other seeds",
    "base": "to the unaccelerated images",
    "alone": "",
}


@dataclass(frozen=True)
class Metric:
    """A quality figure.

    Attributes:
        name: on the command line.
        title: in tables.
        better: which values are.
        network: the one whose features it reads, or None.
        prepare: a strategy's side and what it is compared with (the same prompts under the view
            `base`, None under `alone`) to the figure of a resample.
        views: what it is compared with. `base` compares prompt by prompt.
        paper: where it comes from.
        reported: which papers on acceleration report it.
        biased: whether it has a bias that falls with the number of images, so that only figures of
            equally many can be compared.
        bundled: whether it knows only the bundled models' images.
        gaussian: whether mean and covariance are all that it reads of a reference.
        compare: of figures that compare pixels, how.
        chance: of unbiased distances, how far two sets as large as a side and of one model are
            apart where chance is not taken out: the scale of what is much.
        form: of its values.
        bounds: the least and the largest value that one image can have, where the figure is a mean
            over images that has such; its intervals are then score intervals.
        margin: how much worse than the unaccelerated model's it may be and still count as no loss;
            None where every change is a loss, or where nobody has said.
    """

    name: str
    title: str
    better: Literal["lower", "higher"]
    network: str | None
    prepare: Callable[[Side, Side | None, View], Statistic]
    views: tuple[View, ...]
    paper: str
    reported: str = ""
    biased: bool = False
    bundled: bool = False
    gaussian: bool = False
    compare: Compare | None = None
    chance: Callable[[Side], float] | None = None
    form: str = "{:.2f}"
    bounds: Bounds | None = None
    margin: float | None = None

    def key(self, view: View) -> str:
        """The name of its figure under a view: `fid_real`, `psnr`."""
        name = self.name.replace("-", "_")
        return f"{name}_{view}" if self.views == SETS else name


def other(side: Side | None) -> Side:
    """The second side, which the metrics that compare always get."""
    assert side is not None
    return side


__all__ = ["SETS", "VIEWS", "Compare", "Metric", "View", "mean_of", "other"]
