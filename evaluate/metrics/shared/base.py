"""Interface of a metric: from two sides of a comparison to a number for every resample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evaluate.image_set import ImageSet
from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from evaluate.statistics.distances import WeightedStatistic
from evaluate.statistics.means import Bounds, mean_of
from strategies.plugins.former_names import takes_former

ReferenceKind = Literal["real", "self", "base", "alone"]
# Networks to what two images of the same size are beside each other.
Compare = Callable[[Networks], Callable[[Pixels, Pixels], float]]
SETS: tuple[ReferenceKind, ...] = ("real", "self", "base")
VIEWS: dict[ReferenceKind, str] = {
    "real": "to the reference",
    "self": "to the unaccelerated model at other seeds",
    "base": "to the unaccelerated images",
    "alone": "",
}


@takes_former(chance="noise_floor")
@dataclass(frozen=True)
class Metric:
    """A metric of quality.

    Attributes:
        name: name on the command line.
        title: name in tables.
        better: whether lower or higher values are better.
        network: network whose features it reads, or None.
        prepare: function from a strategy's side and the other side to the metric as a function of
            weights. The other side has the same prompts under the view `base`, and is None under
            `alone`.
        views: sides that it compares with. `base` compares prompt by prompt.
        paper: its source.
        reported: papers on acceleration that report it.
        biased: whether it has a bias that falls with the number of images, so that only values of
            equally many can be compared.
        bundled: whether it knows only the bundled models' images.
        subject: only subject whose images it knows, a value of `zoo.SUBJECTS`; empty for any.
        gaussian: whether it reads only mean and covariance of a reference.
        compare: comparison of two images, for metrics that compare pixels.
        noise_floor: function for unbiased distances, from the images of one side: the biased
            estimate between two sets of this size from one model. Smaller distances are noise.
        video: whether it compares frames of a video with each other, so that images have none.
        form: format of its values.
        bounds: least and largest value of one image, for means over images with bounds; their
            intervals are score intervals.
        margin: amount by which it may be worse than the unaccelerated model's and still count as no
            loss; None if every change is a loss, or if there is no default.
        scale: a loss, in its own unit, beyond which a strategy is of no use. It is the worst value
            that counts in a search over an error against the unaccelerated images, until the first
            evaluations show worse ones. None if it is only measured.
    """

    name: str
    title: str
    better: Literal["lower", "higher"]
    network: str | None
    prepare: Callable[[ImageSet, ImageSet | None, ReferenceKind], WeightedStatistic]
    views: tuple[ReferenceKind, ...]
    paper: str
    reported: str = ""
    biased: bool = False
    bundled: bool = False
    subject: str = ""
    gaussian: bool = False
    compare: Compare | None = None
    noise_floor: Callable[[ImageSet], float] | None = None
    video: bool = False
    form: str = "{:.2f}"
    bounds: Bounds | None = None
    margin: float | None = None
    scale: float | None = None

    def knows(self, subject: str | None) -> bool:
        """Whether it can score images of a subject; None stands for models that are not bundled."""
        return not self.bundled or (subject is not None and self.subject in ("", subject))

    def key(self, view: ReferenceKind) -> str:
        """Name of its score under a view: `fid_real`, `psnr`."""
        name = self.name.replace("-", "_")
        return f"{name}_{view}" if self.views == SETS else name


def other(side: ImageSet | None) -> ImageSet:
    """The second side, which metrics that compare always get."""
    assert side is not None
    return side


__all__ = ["SETS", "VIEWS", "Compare", "Metric", "ReferenceKind", "mean_of", "other"]
