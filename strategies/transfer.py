"""Transfer of a strategy to another model, solver or number of steps.

DaTo's paper finds schedules on Stable Diffusion 1.5 and uses them elsewhere. `python -m evaluate
transfer` measures how well that works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from strategies.errors import StrategyError
from strategies.knobs import Depth, registered_methods
from strategies.methods.deepcache import DeepCache
from strategies.plugins.families import works_on
from strategies.strategy import Strategy
from strategies.text import brief

SD_LEVELS = 12  # Skip levels of Stable Diffusion 1.x and 2.x, for which the presets are published.
LEVELS = "skip_levels"  # Key in a file's provenance: its UNet's levels.


@dataclass(frozen=True)
class Target:
    """Target of a transfer.

    Attributes:
        name: name of the model, for messages.
        family, scheduler, steps, calls: the same as in a `Strategy`.
        levels: skip levels of its UNet; None for other families.
    """

    name: str
    family: str
    scheduler: str
    steps: int
    calls: int
    levels: int | None = None


def transfer(
    strategy: Strategy, target: Target, levels: int | None = None
) -> tuple[Strategy, list[str]]:
    """The strategy for another model, and notes on what was changed or left out.

    Calls are resampled. On a UNet with other skip levels each depth keeps its share of them. On a
    transformer DeepCache becomes FORA: both have calls that compute everything, and at the others
    FORA reuses every block, as DeepCache's few fresh outer levels have no counterpart. Methods that
    do not work on the target's family are left out.

    Args:
        strategy: strategy to transfer; its scores are dropped.
        target: target of the transfer.
        levels: skip levels of the UNet that it was made on; by default those in its provenance,
            else Stable Diffusion's 12.

    Raises:
        StrategyError: nothing of it has a meaning on the target.
    """
    if not strategy.canonical().methods:
        raise StrategyError(
            f"{strategy.name or 'the strategy'} has no method that does something: it is its "
            "solver and steps alone, and of those there is nothing to transfer"
        )
    there = strategy.resample(target.calls, target.steps, target.scheduler)
    notes, methods = [], dict[str, Any]()
    for name, knobs in there.methods.items():
        if isinstance(knobs, DeepCache) and target.family != "unet":
            methods["fora"] = _as_fora(knobs)
            notes.append(
                "deepcache became fora: full calls compute all blocks, the others reuse all of them"
            )
        elif not works_on(registered_methods()[name], target.family):
            notes.append(f"{name} left out: it does not work on family {target.family}")
        elif isinstance(knobs, DeepCache) and target.levels is not None:
            own = levels or _levels(strategy)
            methods[name] = _deepened(knobs, own, target.levels)
            if own != target.levels:
                notes.append(f"depths of {own} skip levels became depths of {target.levels}")
        else:
            methods[name] = knobs.compact()
    fields = there.to_json() | {"family": target.family, "methods": methods}
    moved = Strategy.create(**fields)
    if not moved.canonical().methods:
        raise StrategyError(
            f"nothing of {strategy.name or 'the strategy'} has a meaning on {target.name} (family "
            f"{target.family}): {'; '.join(notes) or 'its methods do nothing at these calls'}"
        )
    origin = {
        "digest": strategy.digest,
        "family": strategy.family,
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
        "calls": strategy.calls,
    }
    provenance = dict(strategy.provenance) | {"transferred_from": origin, "notes": notes}
    return moved.model_copy(update={"provenance": provenance}), notes


def _levels(strategy: Strategy) -> int:
    found = strategy.provenance.get(LEVELS, SD_LEVELS)
    if type(found) is not int or found < 1:
        raise StrategyError(
            f"provenance.{LEVELS} is {brief(found)}; it must be a whole number from 1"
        )
    return found


def _deepened(knobs: DeepCache, own: int, target: int) -> dict[str, Any]:
    def scaled(depth: Depth) -> Depth:
        if depth in ("full", 0):
            return depth
        return min(target, max(1, round(int(depth) * target / own)))

    return {"depth": [scaled(depth) for depth in knobs.depth], "order": list(knobs.order)}


def _as_fora(knobs: DeepCache) -> dict[str, Any]:
    computed = [depth == "full" for depth in knobs.depth]
    parts = dict.fromkeys(("attn", "cross", "mlp"), computed)
    return {**parts, "order": list(knobs.order)}
