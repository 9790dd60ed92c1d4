"""Gallery as data: images of prompts by strategy, and differences to the unaccelerated ones.

Differences are computed from the lossless thumbnails, pixel by pixel, and amplified before anything
is compressed. They show the effect of the strategy and not that of compression.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from search.results import gallery
from search.results.report.entries import PLAIN, ReportEntry
from search.results.run import Run

AMPLIFIED = 4  # Factor on absolute differences; the page multiplies further.
SIDE = 320  # Pixels of the longer side, at most.
LOSSLESS = 256  # Images up to this side are embedded as they are.
ROOM = 6_000_000  # Characters of all images together, at most.
Pixels = NDArray[np.uint8]


def gallery_pictures(run: Run, rows: Sequence[ReportEntry]) -> dict[str, Any]:
    """The prompts, and `images` and `differences` by key of each strategy, as data URIs or None.

    If they do not all fit, those of the first strategies are there and `left_out` counts the
    others.
    """
    prompts = gallery.prompts(run.folder)
    found: dict[str, Any] = {
        "prompts": [{"text": one.text, "seed": one.seed} for one in prompts],
        "amplified": AMPLIFIED,
        "side": SIDE,
        "strategies": {},
        "left_out": 0,
    }
    digests = {one.key: one.point.strategy.digest for one in rows if one.point}
    if run.finals:
        digests = {PLAIN: run.unaccelerated.strategy.digest} | digests
    base: list[Pixels | None] = []
    room = ROOM
    for key, digest in digests.items():
        images = [_read(path) for path in gallery.gallery_files(run.folder, digest, len(prompts))]
        base = images if key == PLAIN else base
        if not any(image is not None for image in images):
            continue
        entry = {"images": [_uri(image) for image in images]}
        if key != PLAIN and base:
            pairs = zip(images, base, strict=True)
            entry["differences"] = [_uri(difference_image(*pair)) for pair in pairs]
        size = sum(len(uri) for uris in entry.values() for uri in uris if uri is not None)
        if size > room:
            found["left_out"] += 1
            continue
        room -= size
        found["strategies"][key] = entry
    return found


def difference_image(image: Pixels | None, base: Pixels | None) -> Pixels | None:
    """Absolute difference of two images of one size, amplified; None if one is missing."""
    if image is None or base is None or image.shape != base.shape:
        return None
    apart: Pixels = np.minimum(np.abs(image.astype(np.int16) - base) * AMPLIFIED, 255).astype(
        np.uint8
    )
    return apart


def _read(path: Path | None) -> Pixels | None:
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, UnidentifiedImageError):
        return None


def _uri(pixels: Pixels | None) -> str | None:
    if pixels is None:
        return None
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    lossless = max(image.size) <= LOSSLESS
    image.thumbnail((SIDE, SIDE))
    image.save(buffer, format="webp", lossless=lossless, quality=85)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
