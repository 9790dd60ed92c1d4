"""States that a pipeline can be brought to, and back: what services do to a loaded pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module
from peft import LoraConfig

from strategies import Strategy
from tests.support.pipelines import transformer_pipelines, unet_pipelines

MODELS = ("sd1", "dit", "sd3", "flux")
_UNET: dict[str, dict[str, Any]] = {
    "neutral": {"deepcache": {"depth": "full"}},
    "deepcache": {"deepcache": {"depth": ["full", 1] * 3}},
    "deepcache+dato": {
        "deepcache": {"depth": ["full", 2, "full", 1, 0, 3]},
        "dato": {"ratio": 0.5, "levels": 2},
    },
    "tgate": {"tgate": {"gate": 3, "self_interval": 2, "warmup": 0}},
}
_DIT = ("fora", "toca")
_JOINT = ("fora", "cat", "toca by attention")


def strategies_of(model: str) -> dict[str, Strategy]:
    """Strategies for a topology, by name."""
    if model == "sd1":
        return {name: unet_pipelines.strategy(methods) for name, methods in _UNET.items()}
    names = _DIT if model == "dit" else _JOINT
    return {
        name: transformer_pipelines.strategy(model, transformer_pipelines.ALL[name])
        for name in names
    }


def build(model: str) -> Any:
    """A fresh pipeline, always with the same weights."""
    return unet_pipelines.build("sd1") if model == "sd1" else transformer_pipelines.build(model)


def draw(pipe: Any, **given: Any) -> torch.Tensor:
    """Latents of one generation."""
    return (unet_pipelines if hasattr(pipe, "unet") else transformer_pipelines).draw(pipe, **given)


def network(pipe: Any) -> Any:
    """The denoiser as the pipeline holds it."""
    return pipe.unet if hasattr(pipe, "unet") else pipe.transformer


@dataclass(frozen=True)
class Change:
    """One thing that people do to a pipeline.

    Attributes:
        on, off: do it and take it back; `off` is None where that cannot be done to the bit.
        fits: whether it exists for a pipeline.
    """

    name: str
    on: Callable[[Any], object]
    off: Callable[[Any], object] | None
    fits: Callable[[Any], bool] = lambda pipe: True

    def __str__(self) -> str:
        return self.name


def _adapt(pipe: Any) -> Any:
    torch.manual_seed(1)
    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_out", "net.0.proj", "conv1"]
    names = [name for name, _ in network(pipe).named_modules()]
    found = [one for one in targets if any(name.endswith(one) for name in names)]
    config = LoraConfig(r=2, target_modules=found, init_lora_weights=False)
    network(pipe).add_adapter(config, adapter_name="style")
    return network(pipe)


def _hooked(pipe: Any) -> None:
    for module in [network(pipe), *list(network(pipe).children())]:
        add_hook_to_module(module, AlignDevicesHook(execution_device="cpu"))


def _unhooked(pipe: Any) -> None:
    remove_hook_from_module(network(pipe), recurse=True)


def _wrapped(pipe: Any) -> None:
    module = network(pipe)
    inner = module.forward
    vars(module)["forward"] = lambda *args, **kwargs: inner(*args, **kwargs)
    vars(module)["test_inner"] = inner


def _unwrapped(pipe: Any) -> None:
    vars(network(pipe))["forward"] = vars(network(pipe)).pop("test_inner")


def _loaded(pipe: Any) -> None:
    other = {name: value * 1.01 for name, value in network(pipe).state_dict().items()}
    vars(pipe)["test_weights"] = {k: v.clone() for k, v in network(pipe).state_dict().items()}
    network(pipe).load_state_dict(other)


def _unloaded(pipe: Any) -> None:
    network(pipe).load_state_dict(vars(pipe).pop("test_weights"))


def _grouped(pipe: Any) -> None:
    network(pipe).enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
    )


def _blocks_grouped(pipe: Any) -> None:
    network(pipe).enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
    )


def _cast(pipe: Any) -> None:
    network(pipe).enable_layerwise_casting(storage_dtype=torch.float16, compute_dtype=torch.float32)


def _can_adapt(pipe: Any) -> bool:
    return hasattr(network(pipe), "add_adapter")


def _can_group(pipe: Any) -> bool:
    return bool(network(pipe)._supports_group_offloading)


def _is_unet(pipe: Any) -> bool:
    return hasattr(pipe, "unet")


CHANGES = [
    Change(
        "model offload",
        lambda pipe: pipe.enable_model_cpu_offload(device="cpu"),
        lambda pipe: pipe.remove_all_hooks(),
    ),
    Change("accelerate's hooks", _hooked, _unhooked),
    Change("group offload of leaves", _grouped, None, _can_group),
    Change("group offload of blocks", _blocks_grouped, None, _can_group),
    Change("layerwise casting", _cast, None),
    Change("adapter", _adapt, lambda pipe: network(pipe).delete_adapters("style"), _can_adapt),
    Change(
        "adapter with another weight",
        lambda pipe: _adapt(pipe).set_adapters("style", 0.3),
        lambda pipe: network(pipe).delete_adapters("style"),
        _can_adapt,
    ),
    Change("adapter fused", lambda pipe: _adapt(pipe).fuse_lora(), None, _can_adapt),
    Change(
        "FreeU",
        lambda pipe: pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6),
        lambda pipe: pipe.disable_freeu(),
        _is_unet,
    ),
    Change(
        "fused projections",
        lambda pipe: network(pipe).fuse_qkv_projections(),
        lambda pipe: network(pipe).unfuse_qkv_projections(),
        lambda pipe: hasattr(network(pipe), "fuse_qkv_projections"),
    ),
    Change("a wrapper of one's own", _wrapped, _unwrapped),
    Change("other weights", _loaded, _unloaded),
    Change("double precision", lambda pipe: pipe.to(torch.float64), None),
]
