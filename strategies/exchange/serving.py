"""Settings for servers that follow cache-dit: SGLang, vLLM-Omni and stable-diffusion.cpp.

Each takes a steps mask in a form of its own, and counts steps where cache-dit counts calls. What
they read was taken from their documentation and source: SGLang's page "Cache-DiT Acceleration" and
`cache_dit_integration.py` (commit 0137225, mid 2026), vLLM-Omni's `cachedit/config.py` (commit
585b7bb, mid 2026), and `docs/caching.md` of stable-diffusion.cpp (commit 1a4b2e6, mid 2026).
"""

from __future__ import annotations

import json
from itertools import groupby

from strategies.errors import StrategyError
from strategies.exchange.block_cache import CacheSchedule, block_cache, refusal
from strategies.step_masks import NAMES, published_mask
from strategies.strategy import Strategy

MIN_MASKED_STEPS = 8  # Steps below which SGLang and vLLM-Omni take no mask.


def sglang(strategy: Strategy) -> str:
    """Environment of `sglang serve`, one variable a line, as a shell or `--env-file` reads it.

    Raises:
        StrategyError: SGLang cannot express some part of the strategy; names it.
    """
    tool = "SGLang"
    found = _stepwise(strategy, tool)
    if strategy.steps < MIN_MASKED_STEPS and not all(found.mask):
        few = f"{found.method} with {strategy.steps} steps; it takes {MIN_MASKED_STEPS} or more"
        raise refusal(tool, few)
    runs = [(computed, len([*run])) for computed, run in groupby(found.mask)]
    bins = {flag: [str(n) for computed, n in runs if computed is flag] for flag in (True, False)}
    values = {
        "ENABLED": "true",
        "FN": found.front,
        "BN": found.tail,
        "WARMUP": 0,
        "SCM_COMPUTE_BINS": ",".join(bins[True]),
        "SCM_CACHE_BINS": ",".join(bins[False] or "0"),
        "SCM_POLICY": "static",
        "TAYLORSEER": json.dumps(found.sloped),
        "TS_ORDER": 1,
    }
    head = f"# {_about(strategy)}; for this number of steps only\n"
    return head + "".join(f"SGLANG_CACHE_DIT_{name}={value}\n" for name, value in values.items())


def vllm_omni(strategy: Strategy) -> str:
    """JSON for vLLM-Omni's `cache_config`, beside `cache_backend="cache_dit"`.

    vLLM-Omni reads no mask of its own, only the name of one that cache-dit publishes.

    Raises:
        StrategyError: vLLM-Omni cannot express some part of the strategy; names it.
    """
    tool = "vLLM-Omni"
    found = _stepwise(strategy, tool)
    config = {
        "Fn_compute_blocks": found.front,
        "Bn_compute_blocks": found.tail,
        "max_warmup_steps": 0,
        "scm_steps_mask_policy": _mask_name(found, tool),
        "scm_steps_policy": "static",
        "enable_taylorseer": found.sloped,
        "taylorseer_order": 1,
    }
    return json.dumps(config) + "\n"


def sd_cpp(strategy: Strategy) -> str:
    """Flags of `sd-cli`, for models whose denoiser is a transformer.

    Raises:
        StrategyError: stable-diffusion.cpp cannot express some part of the strategy; names it.
    """
    tool = "stable-diffusion.cpp"
    found = _stepwise(strategy, tool)
    if found.sloped:
        raise refusal(tool, f"{found.method}.order above 0: its TaylorSeer takes no steps mask")
    mask = ",".join(str(int(computed)) for computed in found.mask)
    options = f"Fn={found.front},Bn={found.tail},warmup=0"
    return (
        f"--steps {strategy.steps} --cache-mode dbcache --cache-option {options} "
        f"--scm-mask {mask} --scm-policy static\n"
    )


# Its source at master-827-97d2990 (August 2026) parses the mask and the policy, but whether a step
# is reused depends on the threshold alone, and the whole output is reused instead of blocks.
SD_CPP_NOTE = (
    "stable-diffusion.cpp up to master-827 reads --scm-mask and --scm-policy but decides by its "
    "threshold alone; see that its log counts as many skipped steps as the mask has zeros"
)


def _stepwise(strategy: Strategy, tool: str) -> CacheSchedule:
    """Schedule of a strategy that makes one call for each step."""
    found = block_cache(strategy, tool)
    if strategy.calls != strategy.steps:
        raise refusal(
            tool,
            f"{strategy.calls} calls in {strategy.steps} steps; its masks have one entry for each "
            "step",
        )
    return found


def _mask_name(schedule: CacheSchedule, tool: str) -> str | None:
    """Name of the published mask that equals this one; None if nothing is reused."""
    mask, method = schedule.mask, schedule.method
    if all(mask):
        return None
    steps = len(mask)
    try:
        known = {name: published_mask(name, steps) for name in NAMES}
    except StrategyError as error:
        raise refusal(tool, f"{method} with {steps} steps: {error}") from None
    for name, one in known.items():
        if one == mask:
            return name

    def differing(name: str) -> list[int]:
        pairs = enumerate(zip(known[name], mask, strict=True))
        return [call for call, (one, other) in pairs if one != other]

    near = min(NAMES, key=lambda name: len(differing(name)))
    raise refusal(
        tool,
        f"{method} with this mask: it takes cache-dit's masks {', '.join(NAMES)} alone; the "
        f"nearest, {near}, differs at calls {', '.join(map(str, differing(near)))}",
    )


def _about(strategy: Strategy) -> str:
    name = strategy.name if strategy.name.isprintable() else ""
    return f"{name or 'strategy'} {strategy.digest[:12]}, {strategy.steps} steps"
