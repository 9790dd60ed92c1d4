"""A tiny model in a folder, as a user has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pipelines.unet_pipelines import build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Stable Diffusion 1.x in a folder, as a user has it."""
    target = tmp_path_factory.mktemp("models") / "my-sd"
    build("sd1").save_pretrained(target)
    return target
