"""Methods for transformers beside cache-dit and diffusers' hooks, alternated in one process.

    python -m benchmarks run transformer_speed  # a GPU: full size, fp16
    python -m benchmarks run transformer_speed --width 0.25 --layers 6 --latent 48 \
        --calls 14  # a CPU
    python -m benchmarks run transformer_speed --compile  # the same with torch.compile

Topologies of Stable Diffusion 3 medium, PixArt-Sigma, DiT-XL/2, FLUX.1, FLUX.2 and Qwen-Image with
random weights; whole generations, guided where the network has no guidance embedded. Ours have the
uniform settings of the package: cache-dit's steps mask with FORA's full calls, diffusers' pyramid
attention broadcast. What does not run has the reason why not. Writes
`results/transformer_speed-NETWORK-DEVICE.json`, `-compiled` behind it with `--compile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from accel.models.loading import quiet
from benchmarks.networks.topologies import NETWORKS, sized
from benchmarks.sampler_speed.alternating import Variant, ours, unmodified
from benchmarks.sampler_speed.comparison import compare, completed, parser
from benchmarks.sampler_speed.denoising_loop import Network, nothing
from benchmarks.sampler_speed.other_packages import HOOKS, hooked, steps_mask
from strategies.methods.fora import FORA
from strategies.methods.toca import ToCa

START = 8


def start(net: Network) -> int:
    """CAT Pruning's first call that leaves tokens out."""
    return min(START, max(2, round(START * net.calls / 28)))


@contextmanager
def mask(net: Network) -> Iterator[None]:
    """cache-dit, computing at FORA's full calls."""
    full = [one is True for one in FORA.published(net.calls, 3).attn]
    with steps_mask(net.pipe.transformer, full) as net.before:
        try:
            yield
        finally:
            net.before = nothing


def fora(interval: int, order: int = 0, equal: str = "") -> Variant:
    methods = ours(lambda net: {"fora": FORA.published(net.calls, interval, order)})
    return Variant(methods, equal=equal, kinds=computing(interval))


def deltacache(interval: int, depth: int | str, equal: str = "") -> Variant:
    """Whole stretches of blocks at FORA's reusing calls, behind a front of `depth` blocks."""

    def methods(net: Network) -> dict[str, Any]:
        full = FORA.published(net.calls, interval).attn
        return {"deltacache": {"depth": ["full" if one is True else depth for one in full]}}

    return Variant(ours(methods), equal=equal, kinds=computing(interval))


def computing(interval: int) -> dict[str, Callable[[int, int], bool]]:
    """FORA's kinds of call."""

    def full(call: int, calls: int) -> bool:
        return FORA.published(calls, interval).attn[call] is True

    return {"full": full, "reusing": lambda call, calls: not full(call, calls)}


def self_attention(net: Network) -> dict[str, Any]:
    """Self-attention alone at every third call."""
    return {"fora": {"attn": [call % 3 == 0 for call in range(net.calls)]}}


VARIANTS: dict[str, Variant] = {
    "unmodified": Variant(unmodified),
    "neutral": Variant(ours(lambda net: {})),
    "fora N=2": fora(2),
    "fora N=3": fora(3, equal="cache-dit, calls of fora N=3"),
    "fora N=3, order 1": fora(3, order=1),
    "fora N=5": fora(5),
    "deltacache N=3, depth 1": deltacache(3, 1, equal="cache-dit, calls of fora N=3"),
    "deltacache N=3, depth 0": deltacache(3, 0),
    "deltacache N=3, skip": deltacache(3, "skip"),
    "fora, self-attention N=3": Variant(
        ours(self_attention),
        equal="diffusers PyramidAttentionBroadcast, range 3",
        kinds={"reusing": lambda call, calls: call % 3 > 0},
    ),
    "cat 0.3": Variant(
        ours(lambda net: {"cat": {"alpha": 0.3, "start": start(net)}}), method="cat"
    ),
    "atedm 0.3": Variant(
        ours(lambda net: {"atedm": {"alpha": 0.3, "start": start(net)}}), method="atedm"
    ),
    "toca": Variant(ours(lambda net: {"toca": ToCa.published(net.calls)}), method="toca"),
    "cache-dit, calls of fora N=3": Variant(mask, package=True, kinds=computing(3)),
    **{f"diffusers {name}": Variant(partial(hooked, name=name), package=True) for name in HOOKS},
}


def main() -> None:
    made = parser(__doc__, VARIANTS, calls=28)
    made.add_argument("--layers", type=int, default=0, help="0 is the network's own number")
    made.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    flags = completed(made.parse_args())
    torch.set_num_threads(1)
    quiet()
    build = partial(sized, width=flags.width, latent=flags.latent, layers=flags.layers)
    compare("transformer_speed", VARIANTS, flags, build)


if __name__ == "__main__":
    main()
