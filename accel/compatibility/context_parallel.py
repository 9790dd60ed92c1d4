"""Networks whose tokens are shared by several processes, and methods that need all of them."""

from __future__ import annotations

from typing import Any

from strategies import StrategyError


def shares_tokens(denoiser: Any) -> bool:
    """Whether a process holds only a part of a network's tokens.

    That is so after diffusers' `enable_parallelism` with a `ContextParallelConfig`. Every process
    then makes the same calls, so that a schedule of whole blocks holds in all of them.
    """
    config = getattr(denoiser, "_parallel_config", None)
    return getattr(config, "context_parallel_config", None) is not None


def check_all_tokens(denoiser: Any, method: str) -> None:
    """Refuse a method that decides by all tokens of the image where a process holds only a part.

    Raises:
        StrategyError: several processes share the tokens.
    """
    if shares_tokens(denoiser):
        raise StrategyError(
            f"methods.{method} needs all of the image's tokens, and enable_parallelism spreads "
            f"them over several processes; take methods.{method} out of the strategy, methods.fora "
            "and methods.deltacache work"
        )
