"""Shared by all tests: one thread, no progress bars, a fresh tiny pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from accel.models import quiet
from tests.pipes import build

torch.set_num_threads(1)
quiet()


@pytest.fixture
def pipe() -> Any:
    return build()
