"""Registry of applied strategies: by pipeline, and by the network that pipelines share."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Protocol

from torch import nn


class Applied(Protocol):
    """Interface of a strategy on a pipeline, for others that share its network."""

    @property
    def networks(self) -> list[nn.Module]:
        """All networks that it acts on."""

    def pipe(self) -> Any:
        """The pipeline, or None if it is gone."""

    def detach(self) -> None:
        """Put the pipeline and its network back as they were."""


# Strategies by the id of the pipeline; an entry is dropped with its pipeline.
_APPLIED: dict[int, tuple[Applied, weakref.finalize[[int], Any]]] = {}
_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


def applied_strategy(pipe: Any) -> Any:
    """The strategy that is applied to a pipeline, or None."""
    entry = _APPLIED.get(id(pipe))
    return None if entry is None else entry[0]


def add(pipe: Any, applied: Applied) -> None:
    """Register a strategy on a pipeline; it is detached when the pipeline is gone."""
    ending = weakref.finalize(pipe, forget, id(pipe))
    ending.atexit = False
    _APPLIED[id(pipe)] = (applied, ending)


def forget(key: int) -> None:
    """Detach the strategy of the pipeline with this id, if there is one."""
    entry = _APPLIED.pop(key, None)
    if entry is not None:
        applied, ending = entry
        ending.detach()
        applied.detach()


def pipes() -> list[Any]:
    """All pipelines that have a strategy."""
    return [applied.pipe() for applied, _ in _APPLIED.values()]


def sharing(network: nn.Module) -> list[Any]:
    """Strategies that are applied to pipelines with this network."""
    return [applied for applied, _ in list(_APPLIED.values()) if network in applied.networks]


def lock(network: nn.Module) -> threading.RLock:
    """Lock that is held during a pass of a network, so that threads take turns."""
    return _LOCKS.setdefault(network, threading.RLock())
