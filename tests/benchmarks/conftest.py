"""Bundled models that are read once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.runs.light import load_once


@pytest.fixture(autouse=True, scope="package")
def loaded_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.models.loading._load", load_once)
        yield
