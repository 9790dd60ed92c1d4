"""Context parallelism of a pipeline: several processes share the tokens of its networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from accel.pipelines.wrappers import FIRST, OTHERS, unwrapped
from strategies import StrategyError

Networks = list[tuple[str, Any]]


def pipeline_networks(pipe: Any) -> Networks:
    """Denoisers of a pipeline, with the names of their attributes."""
    found = [(name, unwrapped(getattr(pipe, name, None))) for name in (*FIRST, *OTHERS)]
    return [(name, network) for name, network in found if network is not None]


def check_sharing(pipe: Any, processes: int) -> None:
    """Refuse a pipeline whose tokens cannot be shared by so many processes.

    Raises:
        StrategyError: diffusers has no plan for a network, or its heads cannot be shared equally.
    """
    for name, network in pipeline_networks(pipe):
        kind = type(network).__name__
        if getattr(network, "_cp_plan", None) is None:
            raise StrategyError(
                f"diffusers has no plan for context parallelism of the pipeline's {name}, a "
                f"{kind}; search this model without --parallel, with one process per worker"
            )
        heads = getattr(network.config, "num_attention_heads", processes)
        if isinstance(heads, int) and heads % processes:
            raise StrategyError(
                f"{processes} processes cannot share the {heads} attention heads of the "
                f"pipeline's {name}, a {kind}, equally; give a number of processes that divides "
                f"{heads}"
            )


def share_tokens(pipe: Any, processes: int) -> None:
    """Let all processes of the default process group share the tokens of every denoiser.

    Args:
        pipe: the same pipeline in every process.
        processes: number of processes of the group.

    Raises:
        StrategyError: the tokens cannot be shared; see `check_sharing`.
    """
    from diffusers import ContextParallelConfig  # Releases before 0.36 have none.

    check_sharing(pipe, processes)
    with _one_device():
        for _, network in pipeline_networks(pipe):
            network.enable_parallelism(config=ContextParallelConfig(ulysses_degree=processes))


@contextmanager
def _one_device() -> Iterator[None]:
    """Have torch count one accelerator where there is none.

    diffusers 0.42.1 divides by their number, also where the processes run on a CPU.
    """
    counted = torch.accelerator.device_count
    if counted():
        yield
        return
    torch.accelerator.device_count = lambda: 1
    try:
        yield
    finally:
        torch.accelerator.device_count = counted
