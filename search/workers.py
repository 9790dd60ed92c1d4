"""The workers that a search's settings ask for."""

from __future__ import annotations

from functools import partial

from search.config import SearchConfig
from search.executor import Executor, InProcess
from search.pool import Pool
from search.worker import Worker


def start(config: SearchConfig, device: str) -> Executor:
    """An executor; `open` starts its workers.

    Args:
        device: `cpu`, or `cuda` for one GPU each, or the share of one that the settings say.

    Raises:
        StrategyError: there is no such cluster, or no room on it.
    """
    make = partial(Worker, config.model.model_dump(), device, config.cpus_per_worker)
    if config.workers == 0:
        return InProcess(make)
    from search.ray_pool import Ray  # It takes seconds to import; --workers 0 needs none.

    gpus = config.gpus_per_worker if device == "cuda" else 0.0
    hands = Ray(make, config.workers, gpus, config.cpus_per_worker, config.address)
    return Pool(hands, config.workers)
