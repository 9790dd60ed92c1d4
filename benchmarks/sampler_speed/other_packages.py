"""Other packages on a bare denoiser: DeepCache, tomesd, cache-dit and diffusers' hooks.

Each is a context that puts the package's changes on and takes them off again, and raises where it
does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from diffusers import (
    DiTTransformer2DModel,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
)
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
    apply_faster_cache,
    apply_first_block_cache,
    apply_mag_cache,
    apply_pyramid_attention_broadcast,
    apply_taylorseer_cache,
)
from diffusers.hooks.hooks import HookRegistry

from benchmarks.sampler_speed.denoising_loop import Network, nothing

PACKED = (FluxTransformer2DModel, Flux2Transformer2DModel, QwenImageTransformer2DModel)
EVERY = (-1, 1001)  # Of the timesteps.


@contextmanager
def deepcache(pipe: Any, interval: int) -> Iterator[None]:
    """DeepCache's helper with its branch 0."""
    from DeepCache import DeepCacheSDHelper

    helper = DeepCacheSDHelper(pipe=pipe)
    helper.set_params(cache_interval=interval, cache_branch_id=0)
    helper.enable()
    try:
        yield
    finally:
        helper.disable()


@contextmanager
def tome(unet: Any, ratio: float, downsample: int) -> Iterator[None]:
    """Tomesd on grids halved up to `downsample` in each direction."""
    import tomesd

    tomesd.apply_patch(unet, ratio=ratio, max_downsample=downsample, use_rand=False)
    try:
        yield
    finally:
        tomesd.remove_patch(unet)


@contextmanager
def cached(network: Any) -> Iterator[None]:
    """cache-dit as it sets itself up for a network."""
    import cache_dit

    cache_dit.enable_cache(network)
    try:
        yield
    finally:
        cache_dit.disable_cache(network)


@contextmanager
def steps_mask(network: Any, full: Sequence[bool]) -> Iterator[Callable[[], None]]:
    """cache-dit with one block ahead of its cache, computing the others at `full` calls.

    Yields what has to run before a generation, as cache-dit does where it has the pipeline; by
    itself it starts again only one call after a generation's first.
    """
    import cache_dit
    from cache_dit.caching.patch_functors import DiTPatchFunctor

    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1,
        Bn_compute_blocks=0,
        max_warmup_steps=0,
        num_inference_steps=len(full),
        steps_computation_mask=[int(one) for one in full],
        steps_computation_policy="static",
        enable_separate_cfg=False,
    )
    if isinstance(network, PACKED):  # It knows these as they are.
        cache_dit.enable_cache(network, cache_config=config)
        try:
            yield lambda: cache_dit.refresh_context(network, cache_config=config)
        finally:
            cache_dit.disable_cache(network)
        return
    joint = isinstance(network, SD3Transformer2DModel)
    pattern = cache_dit.ForwardPattern.Pattern_1 if joint else cache_dit.ForwardPattern.Pattern_3
    classes = isinstance(network, DiTTransformer2DModel)
    adapter = cache_dit.BlockAdapter(
        transformer=network,
        blocks=network.transformer_blocks,
        forward_pattern=pattern,
        patch_functor=DiTPatchFunctor() if classes else None,
        has_separate_cfg=False,
    )
    try:
        cache_dit.enable_cache(adapter, cache_config=config)
        yield lambda: cache_dit.refresh_context(network, cache_config=config)
    finally:
        cache_dit.disable_cache(adapter)
        # What its adapter for DiT leaves behind.
        network.__dict__.pop("forward", None)
        network.__dict__.pop("_is_patched", None)
        network._modules.pop("_norm1_emb", None)


@contextmanager
def hooked(net: Network, name: str) -> Iterator[None]:
    """One of diffusers' hooks, which starts anew before each generation, as in its pipelines."""
    network, hook = net.pipe.denoiser, HOOKS[name]
    try:
        hook.apply(network, hook.config(net))
        if not any(registry.hooks for registry in _registries(network)):
            raise RuntimeError(f"it finds nothing to hook in {type(network).__name__}")
        net.before = HookRegistry.check_if_exists_or_initialize(network).reset_stateful_hooks
        yield
    finally:
        net.before = nothing
        for registry in _registries(network):
            for put in list(registry.hooks):
                registry.remove_hook(put, recurse=False)


def _registries(network: Any) -> list[HookRegistry]:
    found = [getattr(module, "_diffusers_hook", None) for module in network.modules()]
    return [registry for registry in found if isinstance(registry, HookRegistry)]


class Hook(NamedTuple):
    """A hook of diffusers: the function that applies it, and its config for a network."""

    apply: Callable[[Any, Any], Any]
    config: Callable[[Network], Any]


HOOKS = {
    "FirstBlockCache": Hook(
        apply_first_block_cache, lambda net: FirstBlockCacheConfig(threshold=0.05)
    ),
    "TaylorSeer, interval 3": Hook(
        apply_taylorseer_cache, lambda net: TaylorSeerCacheConfig(cache_interval=3)
    ),
    "MagCache, all ratios 1": Hook(
        apply_mag_cache,
        lambda net: MagCacheConfig(mag_ratios=[1.0] * net.calls, num_inference_steps=net.calls),
    ),
    "PyramidAttentionBroadcast, range 3": Hook(
        apply_pyramid_attention_broadcast,
        lambda net: PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=3,
            spatial_attention_timestep_skip_range=EVERY,
            current_timestep_callback=lambda: net.now,
        ),
    ),
    "FasterCache": Hook(
        apply_faster_cache,
        lambda net: FasterCacheConfig(
            spatial_attention_timestep_skip_range=EVERY,
            unconditional_batch_timestep_skip_range=EVERY,
            attention_weight_callback=lambda module: 0.5,
            tensor_format="BCHW",
            current_timestep_callback=lambda: net.now,
        ),
    ),
}
