"""Gallery of a run: the first held-out images of every finalist, kept in `RUN/gallery/`.

The final scoring writes it. `gallery/DIGEST/00000.png` is the image of the first held-out prompt
(`evaluate.images.thumbnails`); `gallery/prompts.json` has the prompts and the seeds of their noise.
The images are only looked at. A missing image is shown as missing; none is generated for the
gallery alone.
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
class GalleryPrompt:
    """Prompt of the gallery: its text and the seed of its noise."""

    text: str
    seed: int


def prompts(run: Path) -> list[GalleryPrompt]:
    """Prompts of a run's gallery; empty if there is none, or an unreadable one."""
    try:
        rows = json.loads((run / NAME / PROMPTS).read_text(encoding="utf-8"))
        return [GalleryPrompt(str(row["text"]), int(row["seed"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def gallery_files(run: Path, digest: str, count: int) -> Sequence[Path | None]:
    """Files of a strategy's images, prompt by prompt; None for a missing one."""
    paths = (_path(run, digest, index) for index in range(count))
    return [path if path.is_file() else None for path in paths]


def _path(run: Path, digest: str, index: int) -> Path:
    return run / NAME / digest / f"{index:05d}.png"
