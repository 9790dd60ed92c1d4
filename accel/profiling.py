"""Time and work of each denoiser pass, measured only on request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from accel.call_records import CallRecord, Recorder


def flop_counter() -> FlopCounterMode:
    """Torch's FLOP counter, extended by the attention that CPUs run."""
    ours: dict[Any, Any] = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops
    }
    return FlopCounterMode(display=False, custom_mapping=ours)


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """FLOPs of an attention of shapes `[batch, heads, tokens, channels]`."""
    return int(sdpa_flop_count(query, key, value))


def clock(device: str) -> Callable[[], float]:
    """Clock for work on a device that has no events of its own.

    On a CPU with one thread it is this thread's processor time, which excludes other programs.
    Several threads do not share such a clock, so they are timed by the monotonic one. So are
    processes that generate together, since each waits for the others.
    """
    alone = device.startswith("cpu") and torch.get_num_threads() == 1 and not _has_peers()
    return time.thread_time if alone else time.perf_counter


def _has_peers() -> bool:
    """Whether this process is one of several in a process group of torch."""
    peers = torch.distributed
    return peers.is_available() and peers.is_initialized() and peers.get_world_size() > 1


class Profiler:
    """Switches of measuring, and the GPU events that are read when the generation is over."""

    def __init__(self) -> None:
        self.time = False
        self.macs = False
        self._events: list[tuple[CallRecord, torch.cuda.Event, torch.cuda.Event]] = []

    @property
    def on(self) -> bool:
        """Whether anything is to be measured."""
        return self.time or self.macs

    @contextmanager
    def call(self, recorder: Recorder, device: str) -> Iterator[None]:
        """Measure one pass, starting before its record is begun. On a GPU this uses events."""
        if self.macs:
            with flop_counter() as counter:
                yield
            recorder.now.macs = counter.get_total_flops() // 2
        elif self.time and device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            yield
            end.record()
            self._events.append((recorder.now, start, end))
        else:
            now = clock(device)
            began = now()
            yield
            recorder.now.seconds = now() - began

    def finish(self) -> None:
        """Read the GPU events; waits for the device."""
        if self._events:
            torch.cuda.synchronize()
        for record, start, end in self._events:
            record.seconds = start.elapsed_time(end) / 1000
        self._events = []
