"""Families of denoisers that can be accelerated, found by the modules of a pipeline."""

from __future__ import annotations

from typing import Any

from torch import nn

from accel.families import dit, mmdit, unet
from accel.pipelines.wrappers import unwrapped
from accel.sites import Sites
from strategies import StrategyError

# Family name -> (attribute of the pipeline, what makes the sites of the module there).
FAMILIES = {"unet": unet.sites, "dit": dit.sites, "mmdit": mmdit.sites}
SUPPORTED = f"{unet.SUPPORTED}, {dit.SUPPORTED}, or {mmdit.SUPPORTED}"


def find(pipe: Any) -> tuple[str, Sites]:
    """The family of a pipeline, and the sites where methods act.

    Raises:
        StrategyError: the pipeline has no supported denoiser, or something unknown wraps it.
    """
    found = [(name, getattr(pipe, name, None)) for name in ("unet", "transformer")]
    for _, denoiser in found:
        made = _sites(unwrapped(denoiser))
        if made is not None:
            return made
    for name, denoiser in found:
        inside = _inside(denoiser)
        if inside is not None:
            raise StrategyError(
                f"the pipeline's {name} is a {type(denoiser).__name__} around a "
                f"{type(inside).__name__}; a strategy sees through torch.compile and PEFT alone, "
                f"so set pipe.{name} to the {type(inside).__name__} itself"
            )
    raise StrategyError(
        f"{type(pipe).__name__} has no supported denoiser; supported are pipelines with {SUPPORTED}"
    )


def _sites(denoiser: Any) -> tuple[str, Sites] | None:
    for family, make in FAMILIES.items():
        sites = make(denoiser)
        if sites is not None:
            return family, sites
    return None


def _inside(denoiser: Any) -> nn.Module | None:
    """The supported denoiser that another module, or any other object, holds."""
    if isinstance(denoiser, nn.Module):
        held = list(denoiser.modules())
    else:
        held = [v for v in getattr(denoiser, "__dict__", {}).values() if isinstance(v, nn.Module)]
    return next((one for one in held if _sites(one) is not None), None)
