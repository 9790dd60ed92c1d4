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
def refilled(output: Any, sample: Tensor) -> Any:
    """Output of a denoiser with another prediction in it, in the form that the network gave it.

    Args:
        output: output of the network; the prediction comes first in it.
        sample: prediction to put there, with any number of rows.
    """
    if isinstance(output, BaseOutput):
        name = next(iter(output.keys()))
        return type(output)(**(dict(output) | {name: refilled(output[name], sample)}))
    if isinstance(output, tuple):
        return (refilled(output[0], sample), *output[1:])
    return list(sample.unbind()) if isinstance(output, list) else sample


@untraced
def as_output(sample: Tensor, kwargs: dict[str, Any], kind: type[BaseOutput]) -> Any:
    """A prediction in the form that the caller asked for: in a `kind`, or in a tuple."""
    if kwargs.get("return_dict", True):
        return kind(sample=sample)
    return (sample,)
