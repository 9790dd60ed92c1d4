"""Export of strategies to other tools: cache-dit's steps mask (`python -m strategies export`).

At calls that a mask names, cache-dit (PyPI) skips the blocks of a transformer after the first one.
It adds the change that they made at the last call that ran them. FORA reuses each sublayer's output
instead, so the two compute at the same calls but do not generate the same image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from strategies.errors import StrategyError
from strategies.methods.fora import COMPONENTS, FORA
from strategies.strategy import Strategy

# Versions that the files are written for and tested with.
VERSIONS = {"cache-dit": "1.5.3", "diffusers": "0.42.1"}
FAMILIES = ("dit", "mmdit")
# Up to this call cache-dit's TaylorSeer calibrator takes no slope from the calls that it computes.
FLAT = 2


def cache_dit(strategy: Strategy) -> dict[str, Any]:
    """Settings for `cache_dit.load_configs`, with their origin.

    The mask has 1 at every call that computes all blocks and 0 at calls that reuse all but the
    first. Calls are passes of the transformer. The mask is not made for guidance in two passes
    (FLUX's true guidance).

    Extrapolation becomes cache-dit's TaylorSeer calibrator (arXiv 2503.06923) if that does the same
    to the residual of the blocks. With order 1 it draws the line through the last two computed
    calls once the last of them is call 3 or later, and repeats the last before. With order 2 it is
    Taylor's polynomial with one-sided differences, not the one through three computed calls.

    Raises:
        StrategyError: some part of the strategy cannot be expressed by a mask; names it.
    """
    if strategy.family not in FAMILIES:
        raise _refuse(f"family {strategy.family!r}; it can express {', '.join(FAMILIES)}")
    methods = strategy.canonical().methods
    others = [name for name in methods if name != "fora"]
    if others:
        raise _refuse(f"methods.{others[0]}; it can express fora that reuses whole calls")
    knobs = methods.get("fora", FORA(attn=(True,) * strategy.calls))
    assert isinstance(knobs, FORA)
    # Joint attention leaves nothing to cross-attention.
    mask = _mask(knobs, tuple(c for c in COMPONENTS if c != "cross" or strategy.family == "dit"))
    config: dict[str, Any] = {
        "Fn_compute_blocks": 1,  # The first block always runs.
        "Bn_compute_blocks": 0,
        "max_warmup_steps": 0,
        "enable_separate_cfg": False,
        "num_inference_steps": strategy.calls,  # It counts calls of the transformer.
        "steps_computation_mask": mask,
        "steps_computation_policy": "static",
    }
    if _slopes(knobs.order, mask):
        config |= {"enable_taylorseer": True, "taylorseer_order": 1}
    fields = ("name", "digest", "family", "scheduler", "steps", "calls")
    return {
        "cache_config": config,
        "strategy": {field: getattr(strategy, field) for field in fields},
        "versions": dict(VERSIONS),
        "use": "cache_dit.enable_cache(pipe, **cache_dit.load_configs(FILE)), then pipe(..., "
        f"num_inference_steps={strategy.steps}) with {strategy.solver_text}",
    }


TARGETS = {"cache-dit": cache_dit}


def dump(settings: Mapping[str, Any]) -> str:
    """Text of the file: JSON with one line per entry."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in settings.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _mask(knobs: FORA, components: tuple[str, ...]) -> list[int]:
    mask = []
    for call, first in enumerate(knobs.attn):
        for name in components:
            value = getattr(knobs, name)[call]
            if isinstance(value, tuple):
                raise _refuse(
                    f"fora.{name}[{call}], which is {json.dumps(value)}; it reuses all groups of "
                    "blocks or none"
                )
            if value != first:
                hint = " (a DiT has no cross-attention, so there cross may be given what attn is)"
                raise _refuse(
                    f"call {call}, where fora.attn is {json.dumps(first)} and fora.{name} "
                    f"{json.dumps(value)}; it reuses all components or none"
                    + (hint if name == "cross" else "")
                )
        mask.append(int(first is True))
    return mask


def _slopes(orders: tuple[int, ...], mask: list[int]) -> bool:
    """Whether the calibrator is needed: no order is above 0, or all are what it does."""
    if not any(orders):
        return False
    last = 0
    for call, computed in enumerate(mask):
        last = call if computed else last
        does = 1 if last > FLAT else 0
        if not computed and orders[call] != does:
            raise _refuse(
                f"fora.order[{call}], which is {orders[call]} after call {last} was computed; its "
                f"TaylorSeer calibrator, wanted for orders above 0, does what order {does} does"
            )
    return True


def _refuse(what: str) -> StrategyError:
    return StrategyError(f"cache-dit's steps mask cannot express {what}")
