"""Output of a denoiser, with and without its wrapping."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from accel.patching.replacing import untraced


@untraced
def prediction(output: Any) -> Tensor:
    """The tensor `[rows, c, h, w]` in the output of a denoiser; tensors in a list are stacked."""
    sample: Any = output
    if isinstance(output, BaseOutput):
        sample = output.to_tuple()[0]
    elif isinstance(output, tuple):
        sample = output[0]
    whole: Tensor = torch.stack(sample) if isinstance(sample, list) else sample
    return whole


@untraced
def as_output(sample: Tensor, kwargs: dict[str, Any], kind: type[BaseOutput]) -> Any:
    """A prediction in the form that the caller asked for: in a `kind`, or in a tuple."""
    if kwargs.get("return_dict", True):
        return kind(sample=sample)
    return (sample,)
