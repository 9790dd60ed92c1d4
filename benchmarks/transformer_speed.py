"""Methods for transformers: measured speedup beside the work they save, alternated in one process.

    python benchmarks/transformer_speed.py                      # a GPU: full size, fp16
    python benchmarks/transformer_speed.py --width 0.25 --layers 6 --latent 48 --calls 14  # a CPU

Topologies of Stable Diffusion 3 medium, PixArt-Sigma and DiT-XL/2 with random weights. Each turn
runs every rival once over a whole guided generation, in shuffled order; ratios are medians of the
ratios within a turn. Times are wall time on a GPU, the process's own time on a CPU. cache-dit (the
steps mask with FORA's full calls) and diffusers' hooks run beside ours where they run at all, else
with the reason why not. Writes `results/transformer_speed-DEVICE.json`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from networks import NETWORKS, strategy
from packages import HOOKS, steps_mask
from turns import clock, ratios, shuffled, wait

import accel
from accel.models import default_device, quiet
from evaluate.timing import device_name
from strategies.methods.fora import FORA
from strategies.methods.toca import ToCa

START = 8
# Heads, layers and the side of the latents at full size.
SIZES = {"sd3-medium": (24, 24, 128), "pixart-sigma": (16, 28, 128), "dit-xl-2": (16, 28, 32)}
Setup = Callable[["Network"], Any]


class Network:
    """A transformer in as much of a pipeline as the sampler needs, and its other inputs."""

    def __init__(self, name: str, flags: argparse.Namespace) -> None:
        heads, layers, latent = SIZES[name]
        torch.manual_seed(0)
        with torch.device(flags.device):
            self.pipe, given = NETWORKS[name](
                max(1, round(heads * flags.width)), flags.layers or layers, flags.latent or latent
            )
        network = self.pipe.transformer
        with torch.no_grad():
            for weight in network.parameters():  # Fresh modulations are zero.
                weight.normal_(std=0.02)
        kind = torch.float16 if flags.device.startswith("cuda") else torch.float32
        self.pipe.transformer = network.to(kind).eval()
        self.given = {name: _as(value, kind) for name, value in given.items()}
        self.calls, self.latent = flags.calls, flags.latent or latent
        self.start = min(START, max(2, round(START * flags.calls / 28)))
        self.now = 0.0

    def accelerated(self, methods: dict[str, Any]) -> Any:
        return accel.accelerated(self.pipe, strategy(self.pipe, self.calls, methods))

    @torch.inference_mode()
    def draw(self) -> float:
        """Seconds of a guided generation's loop."""
        pipe, network = self.pipe, self.pipe.transformer
        to = {"device": pipe.device, "dtype": network.dtype}
        shape = (1, network.config.in_channels, self.latent, self.latent)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(**to)
        pipe.scheduler.set_timesteps(self.calls, device=pipe.device)
        times = pipe.scheduler.timesteps.tolist()
        seconds = clock(pipe.device)
        wait(pipe.device)
        began = seconds()
        for t, self.now in zip(pipe.scheduler.timesteps, times, strict=True):
            doubled = torch.cat([latents] * 2)
            guess = network(hidden_states=doubled, timestep=t.expand(2), **self.given).sample
            first, second = guess[:, : shape[1]].chunk(2)
            guided = first + 4 * (second - first)
            latents = pipe.scheduler.step(guided, t, latents).prev_sample
        wait(pipe.device)
        return seconds() - began


def _as(value: Any, kind: torch.dtype) -> Any:
    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.to(kind) if floating else value


def ours(methods: Callable[[Network], dict[str, Any]]) -> Setup:
    return lambda net: net.accelerated(methods(net))


@contextmanager
def unmodified(net: Network) -> Iterator[None]:
    yield


def mask(net: Network) -> Any:
    """cache-dit, computing at FORA's full calls."""
    full = FORA.published(net.calls, 3).attn
    return steps_mask(net.pipe.transformer, [one is True for one in full])


def hooked(name: str) -> Setup:
    return lambda net: HOOKS[name](net.pipe.transformer, net.calls, lambda: net.now)


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
    "cache-dit, calls of fora N=3": mask,
    **{f"diffusers {name}": hooked(name) for name in HOOKS},
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
    for turn, name in shuffled(list(RIVALS), turns):
        if name in failed:
            continue
        try:
            with RIVALS[name](net):
                seconds = net.draw()
        except Exception as error:
            if name not in PACKAGES:
                raise
            failed[name] = f"{type(error).__name__}: {str(error)[:200]}"
            continue
        if turn:
            times[name].append(seconds)
    return times, failed


def table(net: Network, turns: int) -> dict[str, Any]:
    """Every rival's row, in their order."""
    saved = reductions(net)
    times, failed = race(net, turns)
    rows: dict[str, Any] = {}
    for rival in RIVALS:
        if rival in failed:
            rows[rival] = {"does not run": failed[rival]}
            continue
        speedup, quartiles = ratios(times["unmodified"], times[rival])
        rows[rival] = {"seconds": median(times[rival]), "speedup": speedup, "quartiles": quartiles}
        if rival in saved:
            rows[rival] |= {"macs_reduction": saved[rival], "share": speedup / saved[rival]}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=1.0, help="share of the heads")
    parser.add_argument("--layers", type=int, default=0, help="0 is the network's own number")
    parser.add_argument("--latent", type=int, default=0, help="0: 128, for DiT 32")
    parser.add_argument("--calls", type=int, default=28)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--device", default=default_device())
    flags = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    result: dict[str, Any] = {"settings": vars(flags).copy(), "torch": torch.__version__}
    for name in flags.networks:
        net = Network(name, flags)
        result["device"] = device_name(net.pipe)
        result[name] = table(net, flags.turns)
        print(name, json.dumps(result[name], indent=2), flush=True)
    kind = "gpu" if flags.device.startswith("cuda") else "cpu"
    target = Path(__file__).parent / "results" / f"transformer_speed-{kind}.json"
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
