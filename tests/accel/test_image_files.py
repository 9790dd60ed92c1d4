"""Image files and grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from accel.commands import image_files
from strategies import StrategyError


def test_an_existing_picture_survives_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.png"
    target.write_text("before")

    def half(self: Any, part: BinaryIO, form: str) -> None:
        part.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(StrategyError, match="disk full"):
        image_files.save_image(Image.new("RGB", (4, 4)), target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("given", "shown"), [((32, 16), (256, 128)), ((100, 100), (200, 200)), ((128, 64), (128, 64))]
)
def test_small_images_are_enlarged(given: tuple[int, int], shown: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*given[::-1], 3), dtype=np.uint8)
    (found,) = image_files.enlarged([Image.fromarray(noise)])
    assert found.size == shown
    times = shown[0] // given[0]
    assert (np.asarray(found)[times - 1 :: times, times - 1 :: times] == noise).all()


@pytest.mark.parametrize(("count", "size"), [(1, (4, 2)), (2, (8, 2)), (5, (12, 4)), (9, (12, 6))])
def test_grids(count: int, size: tuple[int, int]) -> None:
    images = [Image.new("RGB", (4, 2), (index, 0, 0)) for index in range(count)]
    whole = image_files.image_grid(images)
    assert whole.size == size
    reds = np.asarray(whole)[::2, ::4, 0].flatten()[:count]
    assert reds.tolist() == list(range(count))
