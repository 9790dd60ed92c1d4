"""Image files: reading, a grid of several images, two grids side by side, atomic writing."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from strategies import StrategyError
from strategies.data_files import whole
from strategies.words import one_line

GAP = 8
SMALL, SEEN = 128, 256  # Pixels of a side: smaller images are enlarged to about the second.


def image_grid(images: Sequence[Image.Image]) -> Image.Image:
    """Images of one size as a grid, row by row, about as wide as high. One image stays as it is."""
    columns = math.ceil(math.sqrt(len(images)))
    width, height = images[0].size
    canvas = Image.new("RGB", (columns * width, math.ceil(len(images) / columns) * height), "white")
    for index, image in enumerate(images):
        canvas.paste(image, (index % columns * width, index // columns * height))
    return canvas


def enlarged(images: Sequence[Image.Image]) -> list[Image.Image]:
    """Images of less than 128 pixels in whole multiples of their size, to be looked at."""
    side = max(images[0].size)
    times = SEEN // side if side < SMALL else 1
    nearest = Image.Resampling.NEAREST
    return [one.resize((one.width * times, one.height * times), nearest) for one in images]


def side_by_side(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """Pictures from left to right, each with its caption below."""
    font = ImageFont.load_default()
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    boxes = [pen.multiline_textbbox((0, 0), text, font=font) for text in captions]
    widths = [max(p.width, math.ceil(b[2])) for p, b in zip(pictures, boxes, strict=True)]
    below = max(picture.height for picture in pictures) + GAP
    height = below + max(math.ceil(box[3]) for box in boxes) + GAP
    canvas = Image.new("RGB", (sum(widths) + GAP * (len(widths) + 1), height + GAP), "white")
    pen, left = ImageDraw.Draw(canvas), GAP
    for picture, text, width in zip(pictures, captions, widths, strict=True):
        canvas.paste(picture, (left, GAP))
        pen.multiline_text((left, below + GAP // 2), text, fill="black", font=font)
        left += width + GAP
    return canvas


def check_target(path: Path) -> None:
    """Make the folder of `path`, and check that the file can be written later.

    Raises:
        StrategyError: the path is no name of an image file, is a folder, or must not be written.
    """
    if path.suffix.lower() not in Image.registered_extensions():
        raise StrategyError(f"{path}: not the name of an image file; use .png, .jpg or .webp")
    if path.is_dir():
        raise StrategyError(f"{path}: is a folder; give the name of an image file")
    whole.make_folder(path.parent)
    whole.check_writable(path)


def open_image(path: Path) -> Image.Image:
    """An image file in RGB.

    Raises:
        StrategyError: it is no image, or cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise StrategyError(f"{path} cannot be read as an image ({one_line(error)})") from None


def save_image(picture: Image.Image, path: Path) -> None:
    """Write an image file. An existing one is replaced only once the new one is complete.

    Raises:
        StrategyError: the file cannot be written.
    """
    buffer = io.BytesIO()
    try:
        picture.save(buffer, Image.registered_extensions()[path.suffix.lower()])
    except (OSError, ValueError) as error:  # The format does not have such pictures.
        raise StrategyError(f"{path}: cannot be written ({error})") from None
    whole.write(buffer.getvalue(), path)
