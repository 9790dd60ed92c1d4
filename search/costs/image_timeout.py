"""Time limit of generating unaccelerated images, before and after their latency is known."""

from __future__ import annotations

from collections.abc import Callable


class ImageTimeout:
    """Seconds after which generating a number of unaccelerated images is cancelled.

    Args:
        seconds: limit as long as no latency is known; None waits for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._limit: Callable[[int], float | None] = lambda _: seconds

    def follow(self, limit: Callable[[int], float]) -> None:
        """Take the limit from now on from a function of the number of images."""
        self._limit = limit

    def __call__(self, images: int) -> float | None:
        return self._limit(images)
