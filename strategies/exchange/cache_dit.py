"""Settings files of cache-dit (PyPI), as `cache_dit.load_configs` reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from strategies.exchange.block_cache import block_cache, text_is_read
from strategies.strategy import Strategy

TOOL = "cache-dit's steps mask"
# Versions that the files are written for and tested with.
VERSIONS = {"cache-dit": "1.5.3", "diffusers": "0.42.1"}


def cache_dit(strategy: Strategy) -> dict[str, Any]:
    """Settings for `cache_dit.load_configs`, with their origin.

    The mask has 1 at every call that computes all blocks and 0 at calls that reuse all but the
    first and the last ones. cache-dit keeps to its own table of pipelines that guide in two passes
    (Qwen-Image, Wan); FLUX's true guidance is not among them, and its two passes count as two calls
    there.

    Extrapolation becomes cache-dit's TaylorSeer calibrator (arXiv 2503.06923) if that does the same
    to the residual of the blocks. With order 1 it draws the line through the last two computed
    calls once the last of them is call 3 or later, and repeats the last before. With order 2 it is
    Taylor's polynomial with one-sided differences, not the one through three computed calls.

    Raises:
        StrategyError: some part of the strategy cannot be expressed; names it.
    """
    found = block_cache(strategy, TOOL)
    config: dict[str, Any] = {
        "Fn_compute_blocks": found.front,
        "Bn_compute_blocks": found.tail,
        "max_warmup_steps": 0,
        "num_inference_steps": strategy.calls,  # It counts calls of the transformer.
        "steps_computation_mask": [int(computed) for computed in found.mask],
        "steps_computation_policy": "static",
    }
    if strategy.family != "transformer":
        config["enable_separate_cfg"] = False
    if found.sloped:
        config |= {"enable_taylorseer": True, "taylorseer_order": 1}
        if text_is_read(strategy.family, found.tail):
            config["enable_encoder_taylorseer"] = True
    fields = ("name", "digest", "family", "scheduler", "steps", "calls")
    about = {field: getattr(strategy, field) for field in fields}
    if strategy.solver.given():
        about["solver"] = strategy.solver.given()
    return {
        "cache_config": config,
        "strategy": about,
        "versions": dict(VERSIONS),
        "use": "cache_dit.enable_cache(pipe, **cache_dit.load_configs(FILE)), then pipe(..., "
        f"num_inference_steps={strategy.steps}) with {strategy.solver_text}",
    }


def settings_text(settings: Mapping[str, Any]) -> str:
    """Text of the file: JSON with one line per entry."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in settings.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"
