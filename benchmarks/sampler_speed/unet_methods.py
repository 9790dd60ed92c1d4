"""Methods for UNets beside the published packages, alternated in one process.

    python -m benchmarks run sampler                            # a GPU: full sizes, fp16
    python -m benchmarks run sampler --width 0.1 --latent 32    # a CPU: narrower, fp32
    python -m benchmarks run sampler --compile                  # the same with torch.compile

Topologies of Stable Diffusion 1.5, 2.1 and XL with random weights; whole guided generations of few
calls. Ours have the uniform settings of the package: DeepCache's helper, tomesd, diffusers' pyramid
attention broadcast. What does not run on UNets has the reason why not. Writes
`results/sampler-NETWORK-DEVICE.json`, `-compiled` behind it with `--compile`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from accel import families
from accel.models.loading import quiet
from benchmarks.networks.topologies import UNETS, sized
from benchmarks.sampler_speed.alternating import Variant, ours, unmodified
from benchmarks.sampler_speed.comparison import compare, completed, parser
from benchmarks.sampler_speed.denoising_loop import Network
from benchmarks.sampler_speed.other_packages import HOOKS, cached, deepcache, hooked, tome
from strategies.methods.deepcache import DeepCache

INTERVAL = 3
SHALLOW = {
    "full": lambda call, calls: call % INTERVAL == 0,
    "shallow": lambda call, calls: call % INTERVAL > 0,
}


def package_tome(net: Network) -> Any:
    """On the largest grid with self-attention, as ours."""
    _, sites = families.find_sites(net.pipe)
    return tome(net.pipe.unet, 0.5, 2 ** min(site.halvings for site in sites.attentions))


def block_caching(net: Network) -> dict[str, Any]:
    """Every transformer block computed at every other call."""
    _, sites = families.find_sites(net.pipe)
    names = [block.name for block in sites.blocks if "attentions" in block.name]
    return {"blockcache": {"refresh": {name: list(range(0, net.calls, 2)) for name in names}}}


def self_attention(net: Network) -> dict[str, Any]:
    """Self-attention alone at every third call."""
    return {"tgate": {"gate": None, "self_interval": INTERVAL, "warmup": 0}}


VARIANTS: dict[str, Variant] = {
    "unmodified": Variant(unmodified),
    "neutral": Variant(ours(lambda net: {})),
    "deepcache N=3": Variant(
        ours(lambda net: {"deepcache": DeepCache.uniform(net.calls, INTERVAL)}),
        equal="DeepCache N=3",
        kinds=SHALLOW,
    ),
    "DeepCache N=3": Variant(
        lambda net: deepcache(net.pipe, INTERVAL), package=True, kinds=SHALLOW
    ),
    "tome 0.5": Variant(ours(lambda net: {"tome": {"ratio": 0.5}}), equal="tomesd 0.5"),
    "tomesd 0.5": Variant(package_tome, package=True),
    "dato 0.5": Variant(ours(lambda net: {"dato": {"ratio": 0.5}})),
    "catome, all merged, pairs reused": Variant(
        ours(lambda net: {"catome": {"threshold": -1.0, "checkpoints": [0]}}),
        kinds={"reusing": lambda call, calls: call > 0},
    ),
    "tgate, gate 2": Variant(
        ours(lambda net: {"tgate": {"gate": 2}}),
        kinds={"behind the gate": lambda call, calls: call > 2},
    ),
    "tgate, self-attention N=3": Variant(
        ours(self_attention), equal="diffusers PyramidAttentionBroadcast, range 3"
    ),
    "blockcache, transformers N=2": Variant(
        ours(block_caching), kinds={"reusing": lambda call, calls: call % 2 == 1}
    ),
    "cache-dit": Variant(lambda net: cached(net.pipe.unet), package=True),
    **{f"diffusers {name}": Variant(partial(hooked, name=name), package=True) for name in HOOKS},
}


def main() -> None:
    made = parser(__doc__, VARIANTS, calls=6)
    made.add_argument("--networks", nargs="+", choices=UNETS, default=list(UNETS))
    flags = completed(made.parse_args())
    torch.set_num_threads(1)
    quiet()
    compare("sampler", VARIANTS, flags, partial(sized, width=flags.width, latent=flags.latent))


if __name__ == "__main__":
    main()
