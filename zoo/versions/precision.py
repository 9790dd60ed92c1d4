"""Name of the argument for a precision in diffusers' loading functions."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

RENAMED = (0, 40)  # Earlier versions ignore `dtype` with a warning, and load what the file has.


def precision_argument(dtype: torch.dtype) -> dict[str, Any]:
    """Argument of `from_pretrained` and `from_single_file` of diffusers for a precision."""
    installed = tuple(int(part) for part in version("diffusers").split(".")[:2])
    return {"dtype" if installed >= RENAMED else "torch_dtype": dtype}
