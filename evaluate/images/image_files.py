"""Image files of any kind as 8-bit RGB; an unreadable one is one clear error.

The scored frames of a video are one file, side by side, which says how many they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from evaluate.networks.base import Pixels, frames_of
from strategies import StrategyError
from strategies.words import one_line

WIDE = 16  # Bits.
FRAMES = "frames"  # Text in a PNG file with the number of frames of a video.


def read_image(path: Path) -> Pixels:
    """An image file as RGB `[h, w, 3]`; 16 bits of grey keep their brightness.

    The frames of a video that `write_png` has written are `[frames, h, w, 3]`.

    Raises:
        StrategyError: it is no image, damaged, or of pixels without a known range.
    """
    try:
        with Image.open(path) as image:
            pixels, count = _eight_bits(image), image.info.get(FRAMES)
            return pixels if count is None else np.stack(np.split(pixels, int(count), axis=1))
    except Exception as error:  # A broken file may raise anything in a decoder.
        raise StrategyError(f"{path} cannot be read as an image ({one_line(error)})") from None


def check_image_file(path: Path) -> int:
    """Check that a file begins as an image and, for a PNG, that its checksums are right.

    Returns:
        The bits of each of its channels, 8 or 16.

    Raises:
        StrategyError: it is no image, or damaged.
    """
    try:
        with Image.open(path) as image:
            bits = WIDE if image.mode.startswith("I") else 8
            image.verify()
            return bits
    except Exception as error:  # See above.
        raise StrategyError(f"{path} cannot be read as an image ({one_line(error)})") from None


def write_png(pixels: Pixels, target: IO[bytes], **settings: Any) -> None:
    """Write an image, or the frames of a video, as a PNG file."""
    about = PngInfo()
    if pixels.ndim == 4:
        about.add_text(FRAMES, str(len(pixels)))
    image = Image.fromarray(frames_side_by_side(pixels))
    image.save(target, format="png", pnginfo=about, **settings)


def frames_side_by_side(pixels: Pixels) -> Pixels:
    """The frames of a video as one image; an image as it is."""
    return pixels if pixels.ndim == 3 else np.concatenate(frames_of(pixels), axis=1)


def _eight_bits(image: Image.Image) -> Pixels:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 bits")
    if not image.mode.startswith("I"):
        return np.array(image.convert("RGB"))
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() >= 2**WIDE:
        raise ValueError("its pixels have more than 16 bits; save it with 8 or 16")
    narrow = np.round(grey / (2**WIDE - 1) * 255).astype(np.uint8)
    return np.repeat(narrow[:, :, None], 3, axis=2)
