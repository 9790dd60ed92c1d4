"""Our sampler beside the published packages, call by call, alternated in one process.

    python benchmarks/sampler.py                       # a GPU: SD 1.5's full size, fp16
    python benchmarks/sampler.py --width 0.25          # a CPU: narrower, fp32, same grids
    python benchmarks/sampler.py --compile             # the same with torch.compile on the UNet

Random weights. Each turn runs every rival once over the same calls, in shuffled order; times are
medians of one call after warm-up, ratios are medians of the ratios within a turn. Writes
`benchmarks/results/sampler-DEVICE.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import diffusers
import tomesd
import torch
from DeepCache import DeepCacheSDHelper
from diffusers import UNet2DConditionModel
from torch import nn

import accel
from accel import families
from accel.models import default_device
from evaluate.timing import device_name
from strategies import Strategy
from zoo import tiny_sd

CALLS = 6
SHALLOW = ["full", 1, "full", 1, "full", 1]
WIDTHS = (320, 640, 1280, 1280)


class Bare:
    """As much of a pipeline as the sampler and the packages need."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.unet = unet
        self.scheduler = tiny_sd.scheduler()
        self.device = unet.device


def build(width: float, device: str, latent: int) -> Bare:
    torch.manual_seed(0)
    channels = tuple(int(c * width) for c in WIDTHS)
    with torch.device(device):
        unet = tiny_sd.unet(
            latent,
            block_out_channels=channels,
            cross_attention_dim=768,
            attention_head_dim=8,
            norm_num_groups=32 if channels[0] % 32 == 0 else 16,
        )
    return Bare(unet.to(torch.float16 if device.startswith("cuda") else torch.float32).eval())


@torch.inference_mode()
def calls(pipe: Bare, batch: int, latent: int) -> list[float]:
    """Seconds of each call of a guided generation from fixed inputs."""
    draws = torch.Generator().manual_seed(0)
    to = {"device": pipe.device, "dtype": pipe.unet.dtype}
    latents = torch.randn(batch, 4, latent, latent, generator=draws).to(**to)
    text = torch.randn(2 * batch, 77, 768, generator=draws).to(**to)
    pipe.scheduler.set_timesteps(CALLS, device=pipe.device)
    seconds = []
    for t in pipe.scheduler.timesteps:
        wait(pipe)
        began = time.perf_counter()
        doubled = pipe.unet(torch.cat([latents] * 2), t, encoder_hidden_states=text).sample
        wait(pipe)
        seconds.append(time.perf_counter() - began)
        uncond, cond = doubled.chunk(2)
        latents = pipe.scheduler.step(uncond + 5 * (cond - uncond), t, latents).prev_sample
    return seconds


def wait(pipe: Bare) -> None:
    if pipe.device.type == "cuda":
        torch.cuda.synchronize()


def strategy(methods: dict[str, Any]) -> Strategy:
    return Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=CALLS, calls=CALLS, methods=methods
    )


@contextmanager
def package_deepcache(pipe: Bare) -> Iterator[None]:
    helper = DeepCacheSDHelper(pipe=pipe)
    helper.set_params(cache_interval=2, cache_branch_id=0)
    helper.enable()
    try:
        yield
    finally:
        helper.disable()


@contextmanager
def package_tome(pipe: Bare) -> Iterator[None]:
    tomesd.apply_patch(pipe.unet, ratio=0.5, max_downsample=1, use_rand=False)
    try:
        yield
    finally:
        tomesd.remove_patch(pipe.unet)


@contextmanager
def unmodified(pipe: Bare) -> Iterator[None]:
    yield


def ours(methods: dict[str, Any]) -> Callable[[Bare], Any]:
    return lambda pipe: accel.accelerated(pipe, strategy(methods))


def block_caching(pipe: Bare) -> Any:
    """Every transformer block computed at every other call."""
    _, sites = families.find(pipe)
    names = [block.name for block in sites.blocks if "attentions" in block.name]
    refresh = {name: list(range(0, CALLS, 2)) for name in names}
    return accel.accelerated(pipe, strategy({"blockcache": {"refresh": refresh}}))


# Rival -> how to set it up, and which of its calls count.
RIVALS: dict[str, tuple[Callable[[Bare], Any], tuple[int, ...]]] = {
    "unmodified": (unmodified, (2, 3, 4, 5)),
    "neutral": (ours({}), (2, 3, 4, 5)),
    "deepcache shallow": (ours({"deepcache": {"depth": SHALLOW}}), (3, 5)),
    "deepcache full": (ours({"deepcache": {"depth": SHALLOW}}), (2, 4)),
    "package deepcache shallow": (package_deepcache, (3, 5)),
    "package deepcache full": (package_deepcache, (2, 4)),
    "tome 0.5": (ours({"tome": {"ratio": 0.5}}), (2, 3, 4, 5)),
    "package tome 0.5": (package_tome, (2, 3, 4, 5)),
    "dato 0.5": (ours({"dato": {"ratio": 0.5}}), (2, 3, 4, 5)),
    "catome 0.5, reused pairs": (
        ours({"catome": {"threshold": -1.0, "checkpoints": [0]}}),
        (2, 3, 4, 5),
    ),
    "tgate": (ours({"tgate": {"gate": 2}}), (3, 4, 5)),
    "blockcache, attentions reused": (block_caching, (3, 5)),
}
PAIRS = [
    ("neutral", "unmodified"),
    ("deepcache shallow", "package deepcache shallow"),
    ("deepcache full", "package deepcache full"),
    ("tome 0.5", "package tome 0.5"),
    ("tome 0.5", "unmodified"),
    ("dato 0.5", "unmodified"),
    ("catome 0.5, reused pairs", "unmodified"),
    ("tgate", "unmodified"),
    ("blockcache, attentions reused", "unmodified"),
    ("deepcache shallow", "unmodified"),
]


def race(
    pipe: Bare, batch: int, latent: int, turns: int, names: list[str]
) -> dict[str, list[float]]:
    """For every rival, the median seconds of its calls in each turn."""
    found: dict[str, list[float]] = defaultdict(list)
    order = random.Random(0)
    for turn in range(turns + 1):
        for name in order.sample(names, len(names)):
            setup, places = RIVALS[name]
            with setup(pipe):
                seconds = calls(pipe, batch, latent)
            if turn:
                found[name].append(median(seconds[place] for place in places))
    return found


def attention_share(pipe: Bare, batch: int, latent: int) -> float:
    """Share of a full call's time that the self-attentions on the largest grid take."""
    total, began = 0.0, 0.0

    def start(*_: Any) -> None:
        nonlocal began
        wait(pipe)
        began = time.perf_counter()

    def stop(*_: Any) -> None:
        nonlocal total
        wait(pipe)
        total += time.perf_counter() - began

    handles = []
    for block in (pipe.unet.down_blocks[0], pipe.unet.up_blocks[-1]):
        for transformer in block.attentions:
            attention: nn.Module = transformer.transformer_blocks[0].attn1
            handles += [attention.register_forward_pre_hook(start)]
            handles += [attention.register_forward_hook(stop)]
    whole = sum(calls(pipe, batch, latent))
    for handle in handles:
        handle.remove()
    return total / whole


def macs(pipe: Bare, latent: int, methods: dict[str, Any]) -> list[int]:
    with accel.accelerated(pipe, strategy(methods)):
        with accel.measuring(pipe, macs=True):
            calls(pipe, 1, latent)
        return [record.macs or 0 for record in accel.stats(pipe)]


def peak_memory(pipe: Bare, latent: int) -> dict[str, float] | None:
    """Bytes of the peak above an unmodified generation's, as a multiple of the cached feature."""
    if pipe.device.type != "cuda":
        return None
    feature = 2 * pipe.unet.config.block_out_channels[0] * 2 * latent**2 * 2
    peaks = {}
    for name in ("unmodified", "deepcache shallow"):
        with RIVALS[name][0](pipe):
            calls(pipe, 1, latent)
            torch.cuda.reset_peak_memory_stats()
            calls(pipe, 1, latent)
            peaks[name] = torch.cuda.max_memory_allocated()
    above = peaks["deepcache shallow"] - peaks["unmodified"]
    return {"above_bytes": above, "feature_bytes": feature, "ratio": above / feature}


def synchronisations(pipe: Bare, latent: int) -> dict[str, int] | None:
    """Warnings of torch's synchronisation check in a generation of each rival."""
    if pipe.device.type != "cuda":
        return None
    counts = {}
    for name, (setup, _) in RIVALS.items():
        with setup(pipe), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                calls(pipe, 1, latent)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            counts[name] = sum("synchroniz" in str(w.message) for w in caught)
    return counts


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    ratios = {}
    for ours_, theirs in PAIRS:
        if ours_ not in found or theirs not in found:
            continue
        values = [b / a for a, b in zip(found[ours_], found[theirs], strict=True)]
        low, middle, high = quantiles(values, n=4)
        ratios[f"{ours_} over {theirs}"] = {"speedup": middle, "quartiles": [low, high]}
    return {"seconds": {n: median(v) for n, v in found.items()}, "speedups": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0, help="of the channels, 1 is SD 1.5")
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=None)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--device", default=default_device())
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", nargs="+", choices=RIVALS, default=list(RIVALS), metavar="RIVAL")
    flags = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    pipe = build(flags.width, flags.device, flags.latent)
    on_gpu = flags.device.startswith("cuda")
    full, *_ = macs(pipe, flags.latent, {})
    shallow = macs(pipe, flags.latent, {"deepcache": {"depth": SHALLOW}})[1]
    result: dict[str, Any] = {
        "device": device_name(pipe),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "width": flags.width,
        "latent": flags.latent,
        "compiled": flags.compile,
        "turns": flags.turns,
        "macs": {"full": full, "shallow": shallow, "share": shallow / full},
    }
    if flags.compile:
        pipe.unet.compile()
    else:
        result["top_level_self_attention_share"] = attention_share(pipe, 1, flags.latent)
        result["peak_memory"] = peak_memory(pipe, flags.latent)
        result["synchronisations"] = synchronisations(pipe, flags.latent)
    for batch in flags.batches or ([1, 8] if on_gpu else [1]):
        found = summary(race(pipe, batch, flags.latent, flags.turns, flags.only))
        times = found["seconds"]
        if {"deepcache shallow", "unmodified"} <= set(times):
            share = times["deepcache shallow"] / times["unmodified"]
            found["shallow_time_over_macs_share"] = share / (shallow / full)
        result[f"batch_{batch}"] = found
    kind = "gpu" if on_gpu else "cpu"
    name = f"sampler-{kind}{'-compiled' if flags.compile else ''}.json"
    target = Path(__file__).parent / "results" / name
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
