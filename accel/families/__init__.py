"""The kinds of denoisers that can be accelerated, found by what a pipeline contains."""

from __future__ import annotations

from typing import Any

from accel.families import dit, mmdit, unet
from accel.sites import Sites
from strategies import StrategyError

# Family name -> (attribute of the pipeline, what makes the sites of the module there).
FAMILIES = {"unet": unet.sites, "dit": dit.sites, "mmdit": mmdit.sites}


def find(pipe: Any) -> tuple[str, Sites]:
    """The family of a pipeline and the places where methods act.

    Raises:
        StrategyError: no supported denoiser; names what is supported.
    """
    for name in ("unet", "transformer"):
        denoiser = getattr(pipe, name, None)
        for family, make in FAMILIES.items():
            sites = make(denoiser)
            if sites is not None:
                return family, sites
    raise StrategyError(
        f"{type(pipe).__name__} has no supported denoiser; supported are pipelines with "
        f"{unet.SUPPORTED}, {dit.SUPPORTED}, or {mmdit.SUPPORTED}"
    )
