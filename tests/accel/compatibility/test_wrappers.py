"""Denoisers inside the wrappers of torch.compile and PEFT are accelerated; others are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from torch import nn

import accel
from accel.pipelines.wrappers import unwrapped
from strategies import Strategy, StrategyError
from tests.support.pipelines import method_cases, unet_pipelines
from tests.support.pipelines import transformer_pipelines as tiny

Wrap = Callable[[nn.Module], Any]


def adapted(module: nn.Module) -> Any:
    """A LoRA around and in a module, with weights that change the image."""
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(module, peft.LoraConfig(r=2, target_modules=["to_q", "to_v"]))
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    return wrapped.eval()


def compiled(module: Any) -> Any:
    """Inside the wrapper of torch.compile, without compiling anything."""
    return torch.compile(module, backend="eager")


WRAPS: dict[str, Wrap] = {
    "peft": adapted,
    "compile around peft": lambda module: compiled(adapted(module)),
    "peft around compile": lambda module: adapted(compiled(module)),
    "peft's tuner": lambda module: adapted(module).base_model,
}
METHODS: list[tuple[str, str, dict[str, Any]]] = [
    ("sd1", "deepcache", method_cases.STRONG["deepcache"]),
    ("sd1", "tome", method_cases.STRONG["tome"]),
    ("sd1", "dato", method_cases.STRONG["dato"]),
    ("pixart", "fora", tiny.STRONG["fora"]),
    ("pixart", "cat", tiny.STRONG["cat"]),
    ("dit", "toca", tiny.STRONG["toca"]),
    ("sd3", "cat", tiny.STRONG["cat"]),
    ("flux", "fora", tiny.STRONG["fora"]),
]


def build(model: str) -> tuple[Any, str]:
    """A pipeline, and where its denoiser is."""
    if model in unet_pipelines.MODELS:
        return unet_pipelines.build(model), "unet"
    return tiny.build(model), "transformer"


def plan(model: str, methods: dict[str, Any]) -> Strategy:
    own = (
        unet_pipelines.strategy
        if model in unet_pipelines.MODELS
        else lambda given: tiny.strategy(model, given)
    )
    return own(methods)


def draw(pipe: Any) -> torch.Tensor:
    drawn = unet_pipelines.draw(pipe) if hasattr(pipe, "unet") else tiny.draw(pipe)
    return drawn.detach()


@pytest.mark.parametrize(
    ("case", "wrap"), unet_pipelines.spread(METHODS, ["peft", "peft's tuner"], every=2)
)
def test_a_wrapped_denoiser_draws_what_the_same_layers_draw_unwrapped(
    case: tuple[str, str, dict[str, Any]], wrap: str
) -> None:
    """PEFT puts its layers into the module itself, so both have the same weights."""
    model, _, methods = case
    pipe, part = build(model)
    inside = getattr(pipe, part)
    setattr(pipe, part, WRAPS[wrap](inside))
    plain = draw(pipe)
    with accel.accelerated(pipe, plan(model, methods)):
        found = draw(pipe)
        ran = [record.call for record in accel.stats(pipe)]
    assert torch.equal(draw(pipe), plain)
    assert ran == sorted(ran)
    assert not torch.equal(found, plain)
    setattr(pipe, part, inside)
    with accel.accelerated(pipe, plan(model, methods)):
        assert torch.equal(draw(pipe), found)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", ["compile around peft", "peft around compile"])
@pytest.mark.parametrize("model", ["sd1", "pixart"])
def test_wrappers_in_any_order(model: str, wrap: str) -> None:
    pipe, part = build(model)
    inside = getattr(pipe, part)
    setattr(pipe, part, WRAPS[wrap](inside))
    methods = {"sd1": method_cases.STRONG["deepcache"], "pixart": tiny.STRONG["fora"]}[model]
    plain = draw(pipe)
    with accel.accelerated(pipe, plan(model, methods)):
        found = draw(pipe)
    assert torch.equal(draw(pipe), plain)
    setattr(pipe, part, inside)
    with accel.accelerated(pipe, plan(model, methods)):
        assert float((draw(pipe) - found).norm() / found.norm()) < 1e-4


@pytest.mark.parametrize("model", ["sd1", "dit", "pixart", "sd3", "flux"])
def test_what_is_inside_is_found(model: str) -> None:
    pipe, part = build(model)
    inside = getattr(pipe, part)
    assert unwrapped(inside) is inside
    for wrap in WRAPS.values():
        fresh, _ = build(model)
        own = getattr(fresh, part)
        assert unwrapped(wrap(own)) is own


class Around(nn.Module):
    """A module that nobody knows, around another."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


class Held:
    """An object that is no module and holds one."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner


@pytest.mark.parametrize("wrapper", [Around, Held, nn.DataParallel])
def test_another_wrapper_is_named(wrapper: Any) -> None:
    pipe, _ = build("sd1")
    inside = pipe.unet
    # diffusers takes modules alone by its own assignment.
    object.__setattr__(pipe, "unet", wrapper(inside))
    with pytest.raises(StrategyError) as caught:
        accel.apply(pipe, plan("sd1", method_cases.STRONG["tome"]))
    text = str(caught.value)
    assert f"unet is a {wrapper.__name__} around a UNet2DConditionModel" in text
    assert "\n" not in text


def test_wrappers_inside_of_unknown_ones_are_named_as_well() -> None:
    pipe, _ = build("pixart")
    pipe.transformer = adapted(pipe.transformer)
    pipe.transformer = Around(pipe.transformer)
    with pytest.raises(StrategyError, match="Around around a PixArtTransformer2DModel"):
        accel.apply(pipe, plan("pixart", tiny.STRONG["fora"]))


class xFuserFluxTransformer2DWrapper(nn.Module):  # noqa: N801  # A stand-in for xDiT's class.
    """A wrapper that passes attributes on, as xDiT's, and has a forward of its own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def __getattr__(self, name: str) -> Any:
        there = self.__dict__.get("_modules", {})
        return there[name] if name in there else getattr(there["module"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


def test_a_network_of_xdit_is_refused_by_name() -> None:
    pipe = tiny.build("flux")
    pipe.transformer = xFuserFluxTransformer2DWrapper(pipe.transformer)
    with pytest.raises(StrategyError, match="transformer is a xFuserFluxTransformer2DWrapper of"):
        accel.apply(pipe, tiny.strategy("flux", {"fora": tiny.STRONG["fora"]["fora"]}))
