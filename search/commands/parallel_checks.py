"""Checks of a search whose workers are groups of processes, before anything is generated."""

from __future__ import annotations

from typing import Any

from accel.pipelines import shared_tokens
from search.config import SearchConfig
from strategies import SearchSpace, StrategyError, registered_methods


def check_parallel(config: SearchConfig, pipe: Any, space: SearchSpace) -> None:
    """Refuse a model or a space whose tokens cannot be shared by several processes.

    Args:
        config: settings of the search.
        pipe: pipeline of the model.
        space: strategies that may be proposed.

    Raises:
        StrategyError: diffusers cannot share the model's tokens, or a method needs all of them.
    """
    if not config.parallel:
        return
    shared_tokens.check_sharing(pipe, config.processes_per_worker)
    genes = [name for gene in (*space.call_genes, *space.global_genes) for name, _ in gene.knobs]
    kinds = {n: one for n, one in registered_methods().items() if n in {*genes, *space.fixed}}
    need_all = [
        name
        for name, one in kinds.items()
        if one.runs_token_subset or one.reduces_tokens or one.adaptive
    ]
    if need_all:
        left = [name for name in kinds if name not in need_all]
        advice = f"give --methods {','.join(left)}" if left else "give others by --methods"
        raise StrategyError(
            f"the space has {', '.join(need_all)}, which decide by all tokens of an image, but "
            f"--parallel {config.parallel} spreads these over several processes; {advice}"
        )
