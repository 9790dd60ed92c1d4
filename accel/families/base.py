"""Kind of denoiser: its name, and the function that finds its sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accel.sites import Sites


@dataclass(frozen=True)
class Family:
    """A kind of denoiser.

    Attributes:
        name: name in strategy files.
        supported: attribute and classes of its denoisers, in words.
        sites: returns the sites of a denoiser, or None if the denoiser is not of this family.
    """

    name: str
    supported: str
    sites: Callable[[Any], Sites | None]
