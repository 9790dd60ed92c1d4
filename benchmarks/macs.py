"""Multiply-accumulates of the published settings at full size, beside the papers' tables.

    python benchmarks/macs.py

Networks of the real shapes without weights (torch's meta device), each kind of call counted by
torch's FlopCounterMode, guidance included, and added up over a generation: CAT Pruning's Tables 2
and 3 (Stable Diffusion 3 medium and PixArt-Sigma, 1024 x 1024, 28 and 50 steps, alpha 0.3, t0
of 8) with AT-EDM's row, and FORA's intervals on DiT-XL/2. Writes `benchmarks/results/macs.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DiTTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
)

import accel
from accel import families
from strategies import Strategy
from strategies.methods.fora import FORA
from zoo import tiny_sd

# Trillions, for all steps: whole, CAT, AT-EDM (CAT Pruning, Tables 2 and 3). They are the counts
# without attention's own matrix products, so both counts are given.
PAPER = {
    ("sd3-medium", 28): (168.28, 90.28, 93.48),
    ("sd3-medium", 50): (300.50, 136.70, 143.42),
    ("pixart-sigma", 28): (120.68, 60.08, 62.08),
    ("pixart-sigma", 50): (215.40, 88.24, 92.44),
}
ALPHA, START = 0.3, 8
# Layers, width, text tokens that attend with the image's, text tokens that these attend to.
ATTENTION = {"sd3-medium": (24, 1536, 333, 0), "pixart-sigma": (28, 1152, 0, 300)}


class Bare:
    """As much of a pipeline as the sampler needs."""

    def __init__(self, transformer: Any, scheduler: Any) -> None:
        self.transformer, self.scheduler = transformer, scheduler


def sd3_medium() -> tuple[Bare, dict[str, Any]]:
    """2 rows of 16 x 128 x 128 latents; 77 CLIP and 256 T5 tokens, as the pipeline gives them."""
    with torch.device("meta"):
        network = SD3Transformer2DModel(
            sample_size=128,
            patch_size=2,
            num_layers=24,
            attention_head_dim=64,
            num_attention_heads=24,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            pos_embed_max_size=192,
        )
        given = {
            "encoder_hidden_states": torch.empty(2, 333, 4096),
            "pooled_projections": torch.empty(2, 2048),
        }
    return Bare(network, FlowMatchEulerDiscreteScheduler(shift=3.0)), given


def pixart_sigma() -> tuple[Bare, dict[str, Any]]:
    """2 rows of 4 x 128 x 128 latents; 300 T5 tokens."""
    with torch.device("meta"):
        network = PixArtTransformer2DModel(
            sample_size=128,
            num_layers=28,
            num_attention_heads=16,
            attention_head_dim=72,
            in_channels=4,
            out_channels=8,
            cross_attention_dim=1152,
            caption_channels=4096,
            use_additional_conditions=False,
            interpolation_scale=2,
        )
        given = {"encoder_hidden_states": torch.empty(2, 300, 4096)}
    given["added_cond_kwargs"] = {"resolution": None, "aspect_ratio": None}
    return Bare(network, tiny_sd.scheduler()), given


def dit_xl_2() -> tuple[Bare, dict[str, Any]]:
    """2 rows of 4 x 32 x 32 latents, 256 x 256 pixels."""
    with torch.device("meta"):
        network = DiTTransformer2DModel(
            sample_size=32,
            num_layers=28,
            num_attention_heads=16,
            attention_head_dim=72,
            in_channels=4,
            out_channels=8,
        ).eval()
        given = {"class_labels": torch.empty(2, dtype=torch.long)}
    return Bare(network, tiny_sd.scheduler()), given


NETWORKS: dict[str, Callable[[], tuple[Bare, dict[str, Any]]]] = {
    "sd3-medium": sd3_medium,
    "pixart-sigma": pixart_sigma,
    "dit-xl-2": dit_xl_2,
}


def strategy(pipe: Bare, calls: int, methods: dict[str, Any]) -> Strategy:
    family, _ = families.find(pipe)
    scheduler = type(pipe.scheduler).__name__
    return Strategy.create(
        family=family, scheduler=scheduler, steps=calls, calls=calls, methods=methods
    )


@torch.inference_mode()
def count(pipe: Bare, given: dict[str, Any], short: Strategy) -> dict[str, int]:
    """Multiply-accumulates of the last call of each kind, guidance included."""
    config = pipe.transformer.config
    shape = (1, config.in_channels, config.sample_size, config.sample_size)
    latents = torch.empty(shape, device="meta")
    pipe.scheduler.set_timesteps(short.calls, device="meta")
    pipe.scheduler.step = lambda *_: None  # It would look times up, and there are no values.
    with accel.accelerated(pipe, short):
        with accel.measuring(pipe, macs=True):
            for t in pipe.scheduler.timesteps:
                doubled = torch.cat([latents] * 2)
                guess = pipe.transformer(doubled, timestep=t.expand(2), **given).sample
                pipe.scheduler.step(guess[:1, : shape[1]], t, latents)
        macs = [record.macs or 0 for record in accel.stats(pipe)]
    return dict(zip(short.kinds(), macs, strict=True))


def total(kinds: dict[str, int], long: Strategy) -> float:
    """Trillions of a whole generation."""
    return sum(kinds[kind] for kind in long.kinds()) / 1e12


def products(name: str, share: float) -> float:
    """Trillions of one call's attention products, queries x keys and weights x values.

    Args:
        share: of the image's tokens that ask; all of them are asked.
    """
    layers, width, text, crossed = ATTENTION[name]
    image = 4096
    asking, asked = int(share * image) + text, image + text
    per_layer = 2 * asking * asked + 2 * int(share * image) * crossed
    return 2 * layers * per_layer * width / 1e12


def row(name: str, steps: int, method: str, ours: float, whole: float) -> dict[str, Any]:
    return {
        "network": name,
        "steps": steps,
        "method": method,
        "tmacs": ours,
        "share": ours / whole,
        "reduction": whole / ours,
    }


def pruning(name: str) -> Iterator[dict[str, Any]]:
    """CAT Pruning's and AT-EDM's rows of one network."""
    pipe, given = NETWORKS[name]()
    kinds = {
        method: count(pipe, given, strategy(pipe, 5, {method: {"alpha": ALPHA, "start": 3}}))
        for method in ("cat", "atedm")
    }
    for (network, steps), paper in PAPER.items():
        if network != name:
            continue
        whole = total(kinds["cat"], strategy(pipe, steps, {}))
        for place, method in enumerate(("whole", "cat", "atedm")):
            pruned = {method: {"alpha": ALPHA, "start": START}} if place else {}
            ours = total(kinds[method if place else "cat"], strategy(pipe, steps, pruned))
            partial = steps - START if place else 0
            attention = (steps - partial) * products(name, 1) + partial * products(name, ALPHA)
            published = {
                "tmacs_without_attention_products": ours - attention,
                "paper_tmacs": paper[place],
                "paper_share": paper[place] / paper[0],
            }
            yield row(name, steps, method, ours, whole) | published


def reusing(name: str, steps: int, intervals: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """FORA's intervals on one network."""
    pipe, given = NETWORKS[name]()
    kinds = count(pipe, given, strategy(pipe, 4, {"fora": FORA.published(4, 3)}))
    whole = total(kinds, strategy(pipe, steps, {}))
    for interval in intervals:
        published = strategy(pipe, steps, {"fora": FORA.published(steps, interval)})
        yield row(name, steps, f"fora N={interval}", total(kinds, published), whole)


def main() -> None:
    rows = [*pruning("sd3-medium"), *pruning("pixart-sigma")]
    rows += reusing("dit-xl-2", 250, (2, 3, 5, 7))
    rows += reusing("sd3-medium", 28, (2, 3, 5))
    target = Path(__file__).parent / "results" / "macs.json"
    target.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")
    for one in rows:
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in one.items()})


if __name__ == "__main__":
    main()
