"""Peak memory of a generation: the allocator's on a GPU, elsewhere that of live tensors."""

from __future__ import annotations

import itertools
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from accel.pipelines.devices import device_of


class LiveTensorBytes(TorchDispatchMode):
    """Bytes of the storages of live tensors made inside the block; a shared storage counts once."""

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


def weight_bytes(pipe: Any, device: torch.device) -> int:
    """Bytes of a pipeline's weights and buffers on a device; a shared storage counts once."""
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    tensors = (t for part in parts for t in itertools.chain(part.parameters(), part.buffers()))
    storages = (t.untyped_storage() for t in tensors if t.device == device)
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values())


def peak_memory(pipe: Any, work: Callable[[], Any]) -> int:
    """Peak bytes of some work of a pipeline.

    On a GPU this is everything that the allocator held, including the pipeline's weights, without
    memory that others such as the networks of metrics held before. Elsewhere it is the memory of
    the work's own tensors, without the weights.
    """
    device = device_of(pipe)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        others = max(0, torch.cuda.memory_allocated(device) - weight_bytes(pipe, device))
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - others
    with LiveTensorBytes() as alive:
        work()
    highest: int = alive.peak
    return highest
