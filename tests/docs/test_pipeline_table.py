"""The table of pipelines in docs/models.md: complete, and true of what is tried again here."""

from __future__ import annotations

import pytest

from tests.support.pipelines.pipeline_table import DOCS, classes, row, written

ROWS = written(DOCS.read_text("utf-8"))
SAMPLE = {
    "DiTPipeline",
    "FluxControlNetPipeline",
    "FluxKontextPipeline",
    "PixArtSigmaPAGPipeline",
    "StableDiffusion3PAGPipeline",
    "StableDiffusionGLIGENPipeline",
    "StableDiffusionLatentUpscalePipeline",
}
TRIED = [name for name, line in ROWS.items() if "| not tried |" not in line]


def test_every_pipeline_of_diffusers_has_a_row() -> None:
    """A class that is new in diffusers fails here.

    `python -m tests.support.pipelines.pipeline_table NAME` adds it.
    """
    assert sorted(ROWS) == classes()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in SAMPLE else [pytest.mark.slow])
        for name in sorted(TRIED)
    ],
)
def test_a_row_is_true(name: str) -> None:
    assert row(name) == ROWS[name]


def test_the_sample_is_tried() -> None:
    assert set(TRIED) >= SAMPLE
