"""How an image looks as a whole: its size, how far apart its pixels are, and its mean colour.

It is kept of every image that is drawn, so that a lost image is known without keeping the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluate.networks.base import Pixels

Looks = NDArray[np.int32]  # `[n, 6]`: height, width, spread, red, green, blue.
NUMBERS = 6
NEAR = 16  # Levels of 255 within which two colours count as the same.


def look(image: Pixels) -> list[int]:
    """Height, width, spread (largest less smallest level of any channel) and mean colour."""
    pixels = image.reshape(-1, image.shape[-1])
    spread = int((pixels.max(0).astype(int) - pixels.min(0)).max())
    return [*image.shape[:2], spread, *np.rint(pixels.mean(0)).astype(int).tolist()]


def flat(looks: Looks) -> NDArray[np.bool_]:
    """Of every image, whether all its pixels are equal."""
    return np.asarray(looks[:, 2] == 0)


def lost(looks: Looks, base: Looks) -> NDArray[np.bool_]:
    """Of every image, whether all its pixels are equal, and the unaccelerated image is another.

    A prompt may ask for a plain image. So an image of one colour is sound where the unaccelerated
    image of the same prompt and noise is nearly of that colour, too.
    """
    plain = base[:, 2] <= NEAR
    alike = np.abs(looks[:, 3:] - base[:, 3:]).max(1) <= NEAR
    return np.asarray(flat(looks) & ~(plain & alike))


def resized(looks: Looks, base: Looks) -> NDArray[np.bool_]:
    """Of every image, whether it has another size than the unaccelerated one."""
    return np.asarray((looks[:, :2] != base[:, :2]).any(1))
