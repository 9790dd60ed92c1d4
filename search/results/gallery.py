"""The first held-out images of every finalist, kept in `RUN/gallery/` as the final scoring draws
them.

`gallery/DIGEST/00000.png` is the image of the first held-out prompt
(`evaluate.images.thumbnails`); `gallery/prompts.json` has the prompts and the seeds of their noise.
They are only looked at: what
is missing is shown as missing, and nothing is drawn for them alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = "gallery"
PROMPTS = "prompts.json"
COUNT = 6  # Prompts.


@dataclass(frozen=True)
class Picture:
    """What one prompt of the gallery is: its text and the seed of its noise."""

    text: str
    seed: int


def prompts(run: Path) -> list[Picture]:
    """The prompts of a run's gallery; none where it has none, or an unreadable one."""
    try:
        rows = json.loads((run / NAME / PROMPTS).read_text(encoding="utf-8"))
        return [Picture(str(row["text"]), int(row["seed"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def images(run: Path, digest: str, count: int) -> Sequence[Path | None]:
    """The files of a strategy's images, prompt by prompt; None where one is not there."""
    paths = (_path(run, digest, index) for index in range(count))
    return [path if path.is_file() else None for path in paths]


def _path(run: Path, digest: str, index: int) -> Path:
    return run / NAME / digest / f"{index:05d}.png"
