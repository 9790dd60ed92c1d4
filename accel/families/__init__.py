"""Families of denoisers that can be accelerated, found by the modules of a pipeline."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn

from accel.families import dit, mmdit, stacks, transformer, unet
from accel.families.base import Family
from accel.pipelines.wrappers import FIRST, OTHERS, unwrapped
from accel.sites import Sites
from strategies import StrategyError
from strategies.plugins import entry_points
from strategies.plugins.families import from_packages
from strategies.text import brief

# The first family that knows a denoiser has it: `transformer` takes all that are left.
FAMILIES = (unet.FAMILY, dit.FAMILY, mmdit.FAMILY, transformer.FAMILY)


@cache
def all_families() -> tuple[Family, ...]:
    """Families of other packages, which are asked first, and those of Stratagem."""
    found = []
    for name, plugin in from_packages().items():
        family = entry_points.load_reference(plugin.sites, f"family {name!r}")
        if not isinstance(family, Family) or family.name != name:
            raise StrategyError(
                f"family {name!r}: {plugin.sites} must be a Family of that name, not "
                f"{brief(family)}; mend or uninstall its package"
            )
        found.append(family)
    return (*found, *FAMILIES)


def others(pipe: Any) -> list[str]:
    """Attributes of a pipeline with further denoisers that make calls of the same schedule."""
    return [name for name in OTHERS if getattr(pipe, name, None) is not None]


def find_sites(pipe: Any, name: str | None = None) -> tuple[str, Sites]:
    """The family of a pipeline, and the sites where methods act.

    Args:
        pipe: a pipeline.
        name: name of the attribute that holds the denoiser; by default the pipeline's first one.

    Raises:
        StrategyError: the pipeline has no supported denoiser, or something unknown wraps it.
    """
    found = [(one, getattr(pipe, one, None)) for one in (FIRST if name is None else (name,))]
    for attribute, denoiser in found:
        _check_own_forward(attribute, denoiser)
        made = _sites(unwrapped(denoiser))
        if made is not None:
            return made
    for attribute, denoiser in found:
        inside = _inside(denoiser)
        if inside is not None:
            raise StrategyError(
                f"the pipeline's {attribute} is a {type(denoiser).__name__} around a "
                f"{type(inside).__name__}; a strategy sees through torch.compile and PEFT alone, "
                f"so set pipe.{attribute} to the {type(inside).__name__} itself"
            )
    reason = next((why for _, one in found if (why := stacks.why_no_stack(unwrapped(one)))), "")
    *most, last = (family.supported for family in all_families())
    raise StrategyError(
        f"{type(pipe).__name__} has no supported denoiser{f': {reason}' if reason else ''}; "
        f"supported are pipelines with {', '.join(most)}, or {last}"
    )


def _check_own_forward(attribute: str, denoiser: Any) -> None:
    """Refuse a wrapper of xDiT, which passes on the attributes of the network inside.

    Its forward is its own, and shares tokens, halves of guidance or blocks over processes.

    Raises:
        StrategyError: it is one.
    """
    kind = type(denoiser).__name__
    if kind.startswith("xFuser"):
        raise StrategyError(
            f"the pipeline's {attribute} is a {kind} of xDiT, whose forward is its own, so that no "
            "strategy works on it; use enable_parallelism of diffusers, with which fora and "
            "deltacache work"
        )


def _sites(denoiser: Any) -> tuple[str, Sites] | None:
    for family in all_families():
        sites = family.sites(denoiser)
        if sites is not None:
            return family.name, sites
    return None


def _inside(denoiser: Any) -> nn.Module | None:
    """The supported denoiser that another module, or any other object, holds."""
    if isinstance(denoiser, nn.Module):
        held = list(denoiser.modules())
    else:
        held = [v for v in getattr(denoiser, "__dict__", {}).values() if isinstance(v, nn.Module)]
    return next((one for one in held if _sites(one) is not None), None)
