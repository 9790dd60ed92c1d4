"""Peak memory of a generation: the allocator's on a GPU, elsewhere the tensors that were alive."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Alive(TorchDispatchMode):
    """Bytes of the storages that tensors made inside keep alive; a storage shared counts once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._holders: Counter[int] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor):
                self._hold(tensor)
        return output

    def _hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if not self._holders[key]:
            self.live += size
            self.peak = max(self.peak, self.live)
        self._holders[key] += 1

        def release() -> None:
            self._holders[key] -= 1
            if not self._holders[key]:
                self.live -= size

        weakref.finalize(tensor, release)


def peak(device: str, work: Callable[[], Any]) -> int:
    """Bytes at the highest moment of some work.

    On a GPU all that the allocator held, weights included; elsewhere what the work's own tensors
    held, without the weights that were there before.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated(device))
    with Alive() as alive:
        work()
    highest: int = alive.peak
    return highest
