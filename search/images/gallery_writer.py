"""Writing the gallery of a run; `search.results.gallery` reads it."""

from __future__ import annotations

import json
from pathlib import Path

from accel.models.config import ModelConfig
from evaluate.evaluator import read_prompts
from evaluate.extraction import ExtractedFeatures
from search.results.gallery import COUNT, NAME, PROMPTS, _path
from strategies.data_files.whole import make_folder, write


def write_thumbnails(run: Path, digest: str, sample: ExtractedFeatures, start: int = 0) -> None:
    """Write the thumbnails of a sample whose first image is that of prompt `start`.

    Raises:
        UnwritableError: the folder cannot be written.
    """
    for index, content in enumerate(sample.thumbnails, start):
        path = _path(run, digest, index)
        make_folder(path.parent)
        write(content, path)


def describe(run: Path, model: ModelConfig) -> None:
    """Write the prompts of the gallery of a model's run."""
    prompts = read_prompts(model)["heldout"]
    rows = [
        {"text": text, "seed": seed}
        for text, seed in zip(prompts.texts[:COUNT], prompts.seeds, strict=False)
    ]
    path = run / NAME / PROMPTS
    make_folder(path.parent)
    write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", path)
