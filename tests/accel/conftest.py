"""Tiny networks, computed quickly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def small_convolutions() -> Iterator[None]:
    """Convolutions without oneDNN, whose preparation takes longer than those of a few channels."""
    before, *_ = torch.backends.mkldnn.set_flags(_enabled=False)
    yield
    torch.backends.mkldnn.set_flags(_enabled=before)
