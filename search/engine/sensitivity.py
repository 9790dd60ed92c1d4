"""Per-call sensitivity on a few prompts: change of the images when calls reuse others.

It is measured by the same workers as everything else. Every result is noted in the study, so a
resumed run measures none twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluate.extraction import ExtractedFeatures
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.study.measurements import Measurements
from search.study.required import require_success
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import Response, SampleRequest
from strategies import Strategy


class SensitivityMeasurement:
    """Measurement of the stretches of calls that schedules are made from.

    Args:
        schedules: strategies to measure.
        study: log of the run; what it has is not measured again.
        executor: workers.
        request: makes the request for the images of a strategy; the strategy's digest is its key.
        network: network whose features are compared; None compares pixels.
        folder: folder of the run.
        say: status callback.
    """

    def __init__(
        self,
        schedules: SensitivitySchedules,
        study: Study,
        executor: Executor,
        request: Callable[[Strategy], SampleRequest],
        network: str | None,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._schedules, self._executor = schedules, executor
        self._measured = Measurements(study)
        self._request, self._network, self._folder, self._say = request, network, folder, say

    def measure(self) -> None:
        """Measure what is not noted yet, as ordinary requests on all workers."""
        asked = self._schedules.asked()
        plain = asked[0].digest
        missing = [one for one in asked if not self._measured.has_sensitivity(one.digest)]
        if not missing:
            return
        # The reference images are not noted, so they are generated again after a kill.
        outcome = self._executor.run_exclusive(self._request(asked[0]))
        reference = require_success(outcome, self._folder)
        self._note(plain, outcome, reference)
        waiting = [self._request(one) for one in missing if one.digest != plain]
        for left, (request, outcome) in zip(
            range(len(waiting), 0, -1), self._executor.run_all(waiting), strict=True
        ):
            self._note(request.key, outcome, reference)
            self._say(f"measuring per-call sensitivity, {left - 1} to go")

    def _note(
        self, digest: str, outcome: Response[ExtractedFeatures], reference: ExtractedFeatures
    ) -> None:
        change: float | None = None
        if outcome.value is not None:
            value = image_change(outcome.value, reference, self._network)
            change = value if np.isfinite(value) else None
        self._measured.keep_sensitivity(digest, change, outcome.seconds)


def image_change(
    sample: ExtractedFeatures, reference: ExtractedFeatures, network: str | None
) -> float:
    """Change of images against others of the same prompts.

    It is the mean squared distance of the features that quality is measured by, as a share of their
    variance. Without features, it is the increase of the mean squared error of the pixels to the
    unaccelerated images, in squares of the full range.
    """
    if network is None:
        errors = [float(np.mean(10 ** (-one.paired["psnr"] / 10))) for one in (sample, reference)]
        return max(0.0, errors[0] - errors[1])
    return change_of(sample.features[network], reference.features[network])


def change_of(features: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Mean squared change of features `[n, d]`, as a share of the reference's variance."""
    difference = np.square(features - reference).sum(1).mean()
    return float(difference / reference.var(0).sum())
