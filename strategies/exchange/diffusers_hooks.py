"""Settings of diffusers' own caching hooks, for schedules that these can follow exactly.

MagCache leaves out all blocks at a step if an error that it adds up over the steps is below its
threshold. It reads a ratio for every step from its settings. Ratios of 1 and 2 make it follow a
fixed schedule: 1 adds no error, and 2 adds more than the threshold. Pyramid Attention Broadcast
computes attentions at every N-th step. The other hooks decide while they run (First Block Cache,
SeaCache), treat halves of the batch in ways that no strategy has (FasterCache), or need a pipeline
that tells them its passes (TaylorSeer).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from strategies.exchange.block_cache import expressible, refusal
from strategies.methods.deltacache import DeltaCache
from strategies.methods.fora import FORA
from strategies.strategy import Strategy

TOOL = "diffusers' hooks"
VERSION = "0.42.1"
ADDS, ADDS_NOTHING, THRESHOLD = 2.0, 1.0, 0.5
ALWAYS = (-1, 1)  # Range that holds the time 0, which the written command states for every step.
LOAD = 'from diffusers import hooks; given = json.load(open(FILE))["config"]'
# A network with `enable_cache` tells its pipeline's passes to the hooks.
ENABLE = (
    "network = pipe.transformer; network.enable_cache(config) "
    'if hasattr(network, "enable_cache") else hooks.{function}(network, config)'
)


def diffusers_hooks(strategy: Strategy) -> str:
    """JSON with the name of a hook, its settings, and how to use it.

    Raises:
        StrategyError: no hook can express some part of the strategy; names it.
    """
    methods = expressible(strategy, TOOL, "deltacache without a front, or fora of attentions,")
    knobs = methods.get("fora")
    if isinstance(knobs, FORA):
        return _written(strategy, *_broadcast(knobs, strategy))
    found = methods.get("deltacache")
    mask = _mask(found) if isinstance(found, DeltaCache) else [True] * strategy.calls
    return _written(strategy, *_mag_cache(mask))


def _mask(knobs: DeltaCache) -> list[bool]:
    """Flags of the calls that compute all blocks."""
    for call, depth in enumerate(knobs.depth):
        if depth in ("full", 0):
            continue
        raise refusal(
            TOOL,
            f"deltacache.depth[{call}], which is {json.dumps(depth)}; all blocks run there or "
            'none, so give "full" or 0',
        )
    for name in ("tail", "order"):
        for call, value in enumerate(getattr(knobs, name)):
            if value:
                raise refusal(TOOL, f"deltacache.{name}[{call}], which is {value}; give 0")
    return [depth == "full" for depth in knobs.depth]


def _mag_cache(mask: Sequence[bool]) -> tuple[str, dict[str, Any], str]:
    longest = run = 0
    for computed in mask:
        run = 0 if computed else run + 1
        longest = max(longest, run)
    config = {
        "mag_ratios": [ADDS if computed else ADDS_NOTHING for computed in mask],
        "threshold": THRESHOLD,
        "max_skip_steps": longest,
        "retention_ratio": 0.0,
        "num_inference_steps": len(mask),
    }
    use = f"config = hooks.MagCacheConfig(**given); {ENABLE.format(function='apply_mag_cache')}"
    return "MagCacheConfig", config, use


def _broadcast(knobs: FORA, strategy: Strategy) -> tuple[str, dict[str, Any], str]:
    if strategy.family != "dit":
        raise refusal(
            TOOL, f"methods.fora on family {strategy.family!r}; they can express it on dit"
        )
    for call, (mlp, order) in enumerate(zip(knobs.mlp, knobs.order, strict=True)):
        if mlp is not True:
            raise refusal(
                TOOL,
                f"fora.mlp[{call}], which is {json.dumps(mlp)}; they reuse attentions alone, so "
                "give true",
            )
        if order:
            raise refusal(TOOL, f"fora.order[{call}], which is {order}; give 0")
    config: dict[str, Any] = {}
    for name, kind in (("attn", "spatial"), ("cross", "cross")):
        interval = _interval(getattr(knobs, name), name)
        if interval > 1:
            config[f"{kind}_attention_block_skip_range"] = interval
            config[f"{kind}_attention_timestep_skip_range"] = list(ALWAYS)
    use = (
        "config = hooks.PyramidAttentionBroadcastConfig(**given, "
        "current_timestep_callback=lambda: 0); "
        + ENABLE.format(function="apply_pyramid_attention_broadcast")
    )
    return "PyramidAttentionBroadcastConfig", config, use


def _interval(values: Sequence[Any], name: str) -> int:
    """Interval of the calls that compute; 1 if all do."""
    reuses = [call for call, value in enumerate(values) if value is not True]
    if not reuses:
        return 1
    later = [call for call, value in enumerate(values) if value is True and call]
    interval = later[0] if later else len(values)
    for call, value in enumerate(values):
        if value is not (call % interval == 0):
            raise refusal(
                TOOL,
                f"fora.{name}[{call}], which is {json.dumps(value)}; attentions are computed at "
                f"every N-th step there, and the first ones make N {interval}",
            )
    return interval


def _written(strategy: Strategy, hook: str, config: dict[str, Any], use: str) -> str:
    fields = ("name", "digest", "family", "scheduler", "steps", "calls")
    about = {field: getattr(strategy, field) for field in fields}
    if strategy.solver.given():
        about["solver"] = strategy.solver.given()
    settings = {
        "hook": hook,
        "config": config,
        "strategy": about,
        "versions": {"diffusers": VERSION},
        "use": f"import json; {LOAD}; {use}; then pipe(..., num_inference_steps={strategy.steps}) "
        f"with {strategy.solver_text}",
    }
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in settings.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
