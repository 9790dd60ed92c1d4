"""Temporal error of a video: how far its changes from frame to frame are from the unaccelerated
video's.

Each pair of neighbouring scored frames has a difference. The error is the mean absolute difference
of the two videos' differences, in levels of 255. A still image that is off by the same amount in
every frame has none, flicker has much. Score neighbouring frames to see flicker.
"""

from __future__ import annotations

import numpy as np

from evaluate.metrics.shared import paired
from evaluate.networks.base import Pixels
from evaluate.statistics.gaussian import ScoreError


def temporal_error(video: Pixels, base: Pixels) -> float:
    """Mean absolute difference of the changes of two videos, in levels of 255.

    Raises:
        ScoreError: fewer than two frames.
    """
    if video.ndim != 4 or len(video) < 2:
        raise ScoreError(
            "temporal-error compares neighbouring frames of videos; score at least two frames, "
            "such as --scored-frames 5"
        )
    changes = (np.diff(one.astype(np.int16), axis=0) for one in (video, base))
    return float(np.abs(next(changes) - next(changes)).mean())


METRIC = paired.make(
    "temporal-error", "temporal error", "lower", None, lambda _: temporal_error, "", "{:.2f}",
    video=True,
)  # fmt: skip
