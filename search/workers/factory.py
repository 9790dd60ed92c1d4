"""Executors by the settings of a search."""

from __future__ import annotations

from functools import partial

from accel.models.config import ModelConfig
from evaluate.evaluator import Split
from evaluate.images.prompts import Prompts
from search.workers.executor import Executor, InProcessExecutor
from search.workers.pool import WorkerPool
from search.workers.settings import WorkerSettings
from search.workers.worker import Worker


def make_executor(
    where: WorkerSettings,
    model: ModelConfig,
    device: str,
    prompts: dict[Split, Prompts] | None = None,
    weights: str = "",
) -> Executor:
    """An executor; `open` starts its workers.

    Args:
        where: number of workers, and their devices.
        model: model that they hold.
        device: device of this machine, `cpu` or `cuda`; on a cluster it is a GPU if there is any.
        prompts: prompts that they generate, by split; by default those that the model names.
        weights: digest that the model's weights must have; empty takes any.

    Raises:
        StrategyError: there is no such cluster, or no room on it.
    """
    make = partial(Worker, model.model_dump(), threads=where.cpus_per_worker)
    if prompts is not None:
        make = partial(make, lists=prompts, weights=weights)
    if where.workers == 0:
        return InProcessExecutor(partial(make, device))
    # It takes seconds to import; --workers 0 needs none.
    from search.workers.ray_backend import RayBackend

    hands = RayBackend(
        make, where.workers, device, where.gpus_per_worker, where.cpus_per_worker, where.address,
        where.processes_per_worker,
    )  # fmt: skip
    pool = WorkerPool(hands, where.workers)
    pool.crowded = device == "cpu" and not where.address
    return pool
