"""One clock for all measurements of speed, and the conditions that must be reported with them.

The device is synchronised before and after. On a GPU the time comes from CUDA events, elsewhere
from the clock of `accel.profiling`: for one thread on a CPU its processor time.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import quantiles
from typing import Any

import torch

from accel.models.config import ModelConfig
from accel.models.parts import PARTS
from accel.pipelines.devices import device_of
from accel.profiling import clock

PACKAGES = ("diffusion-stratagem", "torch", "diffusers", "transformers", "numpy")


def time_once(device: str, work: Callable[[], Any]) -> float:
    """Seconds that some work takes on a device, after everything before it is done."""
    if not device.startswith("cuda"):
        now = clock(device)
        began = now()
        work()
        return now() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    taken: float = start.elapsed_time(end) / 1000
    return taken


def relative_iqr(values: Sequence[float]) -> float:
    """Half the interquartile range as a share of the median; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    low, middle, high = quantiles(values, n=4)
    return (high - low) / 2 / middle


def environment(pipe: Any, config: ModelConfig) -> dict[str, Any]:
    """Everything that speed depends on and that can be found out."""
    return {
        "device": device_name(pipe),
        "clock_mhz": _clock(str(device_of(pipe))),
        "dtype": config.dtype,
        "resolution": [config.height, config.width],
        "guidance": config.guidance,
        "attention": attention_backend(pipe),
        "threads": torch.get_num_threads(),
        **({"parts": parts} if (parts := config.model_dump(mode="json", include={*PARTS})) else {}),
        "versions": versions(),
        "python": platform.python_version(),
    }


def device_name(pipe: Any) -> str:
    """The device of a pipeline, with the number of threads on a CPU."""
    device = device_of(pipe)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"


@functools.cache
def _processor() -> str:
    """Name of the CPU if the system tells it, else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="ascii") as file:  # noqa: PTH123
            names = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except (OSError, ValueError):
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def attention_backend(pipe: Any) -> str:
    """Attention backend: the denoiser's processors, and the kernels that torch may choose."""
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    kinds = sorted({type(p).__name__ for p in getattr(denoiser, "attn_processors", {}).values()})
    backends = torch.backends.cuda
    allowed = [
        name
        for name, on in (
            ("flash", backends.flash_sdp_enabled()),
            ("efficient", backends.mem_efficient_sdp_enabled()),
            ("math", backends.math_sdp_enabled()),
        )
        if on
    ]
    return f"{', '.join(kinds) or type(denoiser).__name__}; sdp {', '.join(allowed)}"


def _clock(device: str) -> float | None:
    """Current clock rate of the device, if it can be read."""
    if device.startswith("cuda"):
        try:
            return float(torch.cuda.clock_rate())
        except (ModuleNotFoundError, RuntimeError):
            return None  # Reading it needs nvidia-ml-py.
    try:
        with open("/proc/cpuinfo", encoding="ascii") as file:  # noqa: PTH123
            rates = [float(line.split(":")[1]) for line in file if line.startswith("cpu MHz")]
        return max(rates, default=None)
    except (OSError, ValueError):
        return None


def versions() -> dict[str, str]:
    """Versions of the packages that speed may depend on."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
