"""Files of tiny models that several tests open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.models import original_layout as original
from tests.support.pipelines.unet_pipelines import build


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of Stable Diffusion 1 in its original layout, and a base without weights."""
    pipe, top = build("sd1"), tmp_path_factory.mktemp("files")
    return (
        original.write(original.weights(pipe), top / "fine-tune.safetensors"),
        original.base_of(pipe, top / "sd1-base"),
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "sd1"
    build("sd1").save_pretrained(target)
    return target
