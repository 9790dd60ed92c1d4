"""Thumbnails: small copies of generated images to look at, lossless so that they can be
subtracted.
"""

from __future__ import annotations

import io

from PIL import Image

from evaluate.images.image_files import frames_side_by_side
from evaluate.networks.base import Pixels

SIDE = 512  # Pixels of the longer side, at most.


def encode_thumbnail(image: Pixels) -> bytes:
    """An image as a PNG file, scaled down by area averages if it is larger than `SIDE`.

    Args:
        image: 8-bit RGB `[h, w, 3]`; the frames of a video are put side by side.
    """
    copy = Image.fromarray(frames_side_by_side(image))
    copy.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    copy.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
