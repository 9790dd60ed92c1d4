"""Methods for transformers: measured speedup beside the work they save, alternated in one process.

    python benchmarks/transformer_speed.py                      # a GPU: full size, fp16
    python benchmarks/transformer_speed.py --width 0.25 --layers 6 --latent 48 --calls 14  # a CPU

Topologies of Stable Diffusion 3 medium and DiT-XL/2 with random weights. Each turn runs every rival
once over a whole guided generation, in shuffled order; ratios are medians of the ratios within a
turn. cache-dit (the steps mask with FORA's full calls) and diffusers' hooks run beside ours where
they run at all, else with the reason why not. Writes `results/transformer_speed-DEVICE.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import diffusers
import torch
from diffusers import DiTTransformer2DModel, SD3Transformer2DModel
from diffusers.hooks import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_mag_cache,
    apply_taylorseer_cache,
)
from diffusers.hooks.hooks import HookRegistry

import accel
from accel import families
from accel.models import default_device
from evaluate.timing import device_name
from strategies import Strategy
from strategies.methods.fora import FORA
from strategies.methods.toca import ToCa
from zoo import tiny_sd

START = 8
Setup = Callable[["Network"], Any]


class Bare:
    """As much of a pipeline as the sampler needs."""

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer
        self.device = transformer.device
        self.scheduler: Any = None


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class Network:
    """A transformer in as much of a pipeline as the sampler needs, and its other inputs."""

    def __init__(self, name: str, flags: argparse.Namespace) -> None:
        torch.manual_seed(0)
        heads = max(1, round((24 if name == "sd3" else 16) * flags.width))
        made = sd3 if name == "sd3" else dit
        with torch.device(flags.device):
            transformer, self.given = made(heads, flags.layers, flags.latent)
        kind = torch.float16 if flags.device.startswith("cuda") else torch.float32
        self.pipe = Bare(transformer.to(kind).eval())
        self.given = {k: v.to(kind) if v.is_floating_point() else v for k, v in self.given.items()}
        if name == "sd3":
            self.pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
        else:
            self.pipe.scheduler = tiny_sd.scheduler()
        self.calls, self.latent = flags.calls, flags.latent
        self.start = min(START, flags.calls // 3)

    def strategy(self, methods: dict[str, Any]) -> Strategy:
        family, _ = families.find(self.pipe)
        return Strategy.create(
            family=family,
            scheduler=type(self.pipe.scheduler).__name__,
            steps=self.calls,
            calls=self.calls,
            methods=methods,
        )

    @torch.inference_mode()
    def draw(self) -> float:
        """Seconds of a guided generation's loop."""
        pipe, network = self.pipe, self.pipe.transformer
        to = {"device": pipe.device, "dtype": network.dtype}
        shape = (1, network.config.in_channels, self.latent, self.latent)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(**to)
        pipe.scheduler.set_timesteps(self.calls, device=pipe.device)
        wait(pipe.device)
        began = time.perf_counter()
        for t in pipe.scheduler.timesteps:
            doubled = torch.cat([latents] * 2)
            guess = network(doubled, timestep=t.expand(2), **self.given).sample
            first, second = guess[:, : shape[1]].chunk(2)
            guided = first + 4 * (second - first)
            latents = pipe.scheduler.step(guided, t, latents).prev_sample
        wait(pipe.device)
        return time.perf_counter() - began


def sd3(heads: int, layers: int, latent: int) -> tuple[Any, dict[str, torch.Tensor]]:
    width = 64 * heads
    network = SD3Transformer2DModel(
        sample_size=latent,
        num_layers=layers or 24,
        attention_head_dim=64,
        num_attention_heads=heads,
        joint_attention_dim=4096,
        caption_projection_dim=width,
        pooled_projection_dim=2048,
        pos_embed_max_size=max(192, latent // 2),
    )
    text = torch.randn(2, 333 if latent >= 128 else 77, 4096)
    return network, {"encoder_hidden_states": text, "pooled_projections": torch.randn(2, 2048)}


def dit(heads: int, layers: int, latent: int) -> tuple[Any, dict[str, torch.Tensor]]:
    network = DiTTransformer2DModel(
        sample_size=latent,
        num_layers=layers or 28,
        num_attention_heads=heads,
        attention_head_dim=72,
        in_channels=4,
        out_channels=8,
    )
    for weight in network.parameters():  # Fresh modulations are zero.
        torch.nn.init.normal_(weight, std=0.02)
    return network, {"class_labels": torch.tensor([7, 1000])}


def ours(methods: Callable[[Network], dict[str, Any]]) -> Setup:
    return lambda net: accel.accelerated(net.pipe, net.strategy(methods(net)))


@contextmanager
def unmodified(net: Network) -> Iterator[None]:
    yield


def hooked(apply: Callable[[Any, Any], None], config: Callable[[int], Any]) -> Setup:
    """One of diffusers' own hooks, taken off again."""

    @contextmanager
    def setup(net: Network) -> Iterator[None]:
        network = net.pipe.transformer
        try:
            apply(network, config(net.calls))
            yield
        finally:
            for module in network.modules():
                registry = getattr(module, "_diffusers_hook", None)
                if isinstance(registry, HookRegistry):
                    for name in list(registry.hooks):
                        registry.remove_hook(name, recurse=False)

    return setup


@contextmanager
def steps_mask(net: Network) -> Iterator[None]:
    """cache-dit, computing at FORA's full calls."""
    import cache_dit

    mask = [int(full) for full in FORA.published(net.calls, 3).attn]
    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1,
        Bn_compute_blocks=0,
        max_warmup_steps=0,
        num_inference_steps=net.calls,
        steps_computation_mask=mask,
        steps_computation_policy="static",
    )
    network = net.pipe.transformer
    adapter = cache_dit.BlockAdapter(
        transformer=network,
        blocks=network.transformer_blocks,
        forward_pattern=(
            cache_dit.ForwardPattern.Pattern_1
            if isinstance(network, SD3Transformer2DModel)
            else cache_dit.ForwardPattern.Pattern_3
        ),
        has_separate_cfg=False,
    )
    cache_dit.enable_cache(adapter, cache_config=config)
    try:
        yield
    finally:
        cache_dit.disable_cache(adapter)


RIVALS: dict[str, Setup] = {
    "unmodified": unmodified,
    "neutral": ours(lambda net: {}),
    **{
        f"fora N={n}": ours(lambda net, n=n: {"fora": FORA.published(net.calls, n)})  # type: ignore[misc]
        for n in (2, 3, 5)
    },
    "cat 0.3": ours(lambda net: {"cat": {"alpha": 0.3, "start": net.start}}),
    "atedm 0.3": ours(lambda net: {"atedm": {"alpha": 0.3, "start": net.start}}),
    "toca": ours(lambda net: {"toca": ToCa.published(net.calls)}),
    "cache-dit, FORA's calls at N=3": steps_mask,
    "diffusers first block cache": hooked(
        apply_first_block_cache, lambda calls: FirstBlockCacheConfig(threshold=0.05)
    ),
    "diffusers TaylorSeer": hooked(
        apply_taylorseer_cache, lambda calls: TaylorSeerCacheConfig(cache_interval=3)
    ),
    "diffusers MagCache": hooked(
        apply_mag_cache,
        lambda calls: MagCacheConfig(mag_ratios=[1.0] * calls, num_inference_steps=calls),
    ),
}
PACKAGES = [name for name in RIVALS if name.startswith(("cache-dit", "diffusers"))]


def reductions(net: Network) -> dict[str, float]:
    """Of our strategies, multiply-accumulates of the whole generation over those that run."""
    found = {}
    for name, setup in RIVALS.items():
        if name in PACKAGES or name == "unmodified":
            continue
        with setup(net):
            with accel.measuring(net.pipe, macs=True):
                net.draw()
            found[name] = sum(record.macs or 0 for record in accel.stats(net.pipe))
    return {name: found["neutral"] / macs for name, macs in found.items()}


def race(net: Network, turns: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of every rival in each turn after the first, and why some do not run."""
    times: dict[str, list[float]] = defaultdict(list)
    failed: dict[str, str] = {}
    order = random.Random(0)
    for turn in range(turns + 1):
        for name in order.sample(list(RIVALS), len(RIVALS)):
            if name in failed:
                continue
            try:
                with RIVALS[name](net):
                    seconds = net.draw()
            except Exception as error:
                if name not in PACKAGES:
                    raise
                failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
                continue
            if turn:
                times[name].append(seconds)
    return times, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0, help="share of the heads")
    parser.add_argument("--layers", type=int, default=0, help="0 is the network's own number")
    parser.add_argument("--latent", type=int, default=0, help="0: 128 for SD3, 32 for DiT")
    parser.add_argument("--calls", type=int, default=28)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default=default_device())
    flags = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"settings": vars(flags).copy(), "torch": torch.__version__}
    for name, size in (("sd3", 128), ("dit", 32)):
        own = argparse.Namespace(**vars(flags) | {"latent": flags.latent or size})
        net = Network(name, own)
        result["device"] = device_name(net.pipe)
        saved = reductions(net)
        times, failed = race(net, flags.turns)
        rows: dict[str, Any] = {rival: {"does not run": why} for rival, why in failed.items()}
        for rival, seconds in times.items():
            ratios = [a / b for a, b in zip(times["unmodified"], seconds, strict=True)]
            low, middle, high = quantiles(ratios, n=4)
            row = {"seconds": median(seconds), "speedup": middle, "quartiles": [low, high]}
            if rival in saved:
                row |= {"macs_reduction": saved[rival], "share": middle / saved[rival]}
            rows[rival] = row
        result[name] = rows
        print(name, json.dumps(rows, indent=2), flush=True)
    kind = "gpu" if flags.device.startswith("cuda") else "cpu"
    target = Path(__file__).parent / "results" / f"transformer_speed-{kind}.json"
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
