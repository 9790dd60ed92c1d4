"""Models opened from files with parts, and what such a model is refused with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from accel.models.resolve import open_model
from strategies import StrategyError
from tests.support.models import original_layout as original

SMALL: dict[str, Any] = {"steps": 2, "height": 32, "width": 32}

SEARCHED = [
    *("--workers", "0", "--images", "2", "--heldout-images", "2", "--export", "1"),
    *("--base-steps", "3", "--steps", "2,3", "--schedulers", "DDIM", "--size", "32"),
    *("--batch", "2", "--objective", "psnr", "--objective", "macs", "--methods", "deepcache"),
]


def opened(file: Path, base: Path | str = "", **parts: Any) -> Any:
    return open_model(str(file), "cpu", False, None, {"base": str(base)} | parts)[0]


def refused(file: Path, base: Path | str = "", **parts: Any) -> str:
    with pytest.raises(StrategyError) as error:
        opened(file, base, **parts)
    text = str(error.value)
    assert "\n" not in text
    return text


def rewritten(
    file: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> Path:
    return original.write(change(load_file(file)), target)
