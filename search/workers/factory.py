"""The workers that a search's settings ask for."""

from __future__ import annotations

from functools import partial

from search.config import SearchConfig
from search.run_folder.inputs import Inputs
from search.workers.executor import Executor, InProcess
from search.workers.pool import Pool
from search.workers.worker import Worker


def start(config: SearchConfig, device: str, inputs: Inputs | None = None) -> Executor:
    """An executor; `open` starts its workers.

    Args:
        device: of this machine, `cpu` or `cuda`; a cluster's workers are on its GPUs if it has any.
        inputs: what the workers have to draw with; by default whatever they find.

    Raises:
        StrategyError: there is no such cluster, or no room on it.
    """
    make = partial(Worker, config.model.model_dump(), threads=config.cpus_per_worker)
    if inputs is not None:
        make = partial(make, lists=inputs.prompts, weights=inputs.weights)
    if config.workers == 0:
        return InProcess(partial(make, device))
    from search.workers.ray_backend import (
        Ray,  # It takes seconds to import; --workers 0 needs none.
    )

    gpus, cpus = config.gpus_per_worker, config.cpus_per_worker
    hands = Ray(make, config.workers, device, gpus, cpus, config.address)
    pool = Pool(hands, config.workers)
    pool.crowded = device == "cpu" and not config.address
    return pool
