"""Appearance of an image as a whole: size, range of its levels, and mean colour.

It is kept for every generated image, so that a blank image is noticed without keeping the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluate.networks.base import Pixels

Looks = NDArray[np.int32]  # `[n, 6]`: height, width, spread, red, green, blue.
NUMBERS = 6
NEAR = 16  # Levels of 255 within which two colours count as the same.


def appearance_of(image: Pixels) -> list[int]:
    """Height, width, range (largest minus smallest level of any channel) and mean colour."""
    pixels = image.reshape(-1, image.shape[-1])
    spread = int((pixels.max(0).astype(int) - pixels.min(0)).max())
    return [*image.shape[-3:-1], spread, *np.rint(pixels.mean(0)).astype(int).tolist()]


def is_flat(looks: Looks) -> NDArray[np.bool_]:
    """Whether all pixels are equal, for each image."""
    return np.asarray(looks[:, 2] == 0)


def lost(looks: Looks, base: Looks) -> NDArray[np.bool_]:
    """Whether all pixels are equal and the unaccelerated image is not, for each image.

    A prompt may ask for a plain image. An image of one colour is therefore accepted if the
    unaccelerated image of the same prompt and noise has nearly that colour, too.
    """
    plain = base[:, 2] <= NEAR
    alike = np.abs(looks[:, 3:] - base[:, 3:]).max(1) <= NEAR
    return np.asarray(is_flat(looks) & ~(plain & alike))


def is_resized(looks: Looks, base: Looks) -> NDArray[np.bool_]:
    """Whether an image has another size than the unaccelerated one, for each image."""
    return np.asarray((looks[:, :2] != base[:, :2]).any(1))
