"""Of equal embedders in DiT's blocks one runs in a call, and images do not change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

import accel
from accel.caching import shared_embedding
from tests.support.pipelines.transformer_pipelines import ALL, build, draw, strategy
from tests.support.pipelines.unet_pipelines import STEPS

USERS = ("fora", "toca")


def embedders(pipe: Any) -> list[Any]:
    return [block.norm1.emb for block in pipe.transformer.transformer_blocks]


def drawn(pipe: Any, name: str) -> tuple[torch.Tensor, Counter[int]]:
    """Latents, and how often each embedder ran."""
    ran: Counter[int] = Counter()
    hooks = [
        one.timestep_embedder.register_forward_pre_hook(lambda *_, i=i: ran.update([i]))
        for i, one in enumerate(embedders(pipe))
    ]
    try:
        with accel.accelerated(pipe, strategy("dit", ALL[name])):
            latents = draw(pipe)
    finally:
        for hook in hooks:
            hook.remove()
    return latents, ran


@pytest.mark.parametrize("name", USERS)
def test_one_runs_in_a_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = build("dit")
    found, ran = drawn(pipe, name)
    assert ran == {0: STEPS}
    monkeypatch.setattr(shared_embedding, "equal", lambda one, other: False)
    plain, all_ran = drawn(pipe, name)
    assert torch.equal(found, plain)
    assert all_ran == {0: 2 * STEPS, 1: STEPS, 2: STEPS}


@pytest.mark.parametrize("name", USERS)
def test_another_one_runs_for_itself(name: str) -> None:
    pipe = build("dit")
    with torch.no_grad():
        embedders(pipe)[1].timestep_embedder.linear_2.bias += 1
    found, ran = drawn(pipe, name)
    assert ran == {0: STEPS, 1: STEPS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_embedding, "equal", lambda one, other: False)
        assert torch.equal(found, drawn(pipe, name)[0])


def test_weights_that_are_elsewhere_or_of_another_kind_are_not_equal() -> None:
    one, other = embedders(build("dit"))[:2]
    assert shared_embedding.equal(one, other)
    assert not shared_embedding.equal(one, other.to("meta"))
    assert not shared_embedding.equal(one, embedders(build("dit"))[0].half())
    assert not shared_embedding.equal(one, torch.nn.Linear(2, 2))


def test_every_generation_embeds_anew() -> None:
    pipe = build("dit")
    with accel.accelerated(pipe, strategy("dit", ALL["fora"])):
        first, other = draw(pipe), draw(pipe, seed=1)
        again = draw(pipe)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


class Scaled(torch.Tensor):
    """A weight of integers and a scale, as quantizing packages make them; compares with nothing."""

    whole: torch.Tensor
    scale: torch.Tensor

    @staticmethod
    def __new__(cls, whole: torch.Tensor, scale: torch.Tensor) -> Any:
        made = torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=scale.dtype)
        made.whole, made.scale = whole, scale
        return made

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        return ["whole", "scale"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, how: Any, size: Any, stride: Any) -> Any:
        return Scaled(inner["whole"], inner["scale"])

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.detach.default:
            return Scaled(args[0].whole, args[0].scale)
        raise NotImplementedError(str(func))


def quantized(values: int, scale: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(2, 2, bias=False)
    made = Scaled(torch.full((2, 2), values, dtype=torch.int8), torch.tensor(scale))
    layer.weight = torch.nn.Parameter(made, requires_grad=False)
    return layer


def test_quantized_weights_are_compared_by_what_they_are_made_of() -> None:
    one = quantized(3, 0.5)
    with pytest.raises(NotImplementedError):
        torch.equal(one.weight, one.weight)
    assert shared_embedding.equal(one, quantized(3, 0.5))
    assert not shared_embedding.equal(one, quantized(4, 0.5))
    assert not shared_embedding.equal(one, quantized(3, 0.25))
    assert not shared_embedding.equal(one, torch.nn.Linear(2, 2, bias=False))


def test_integers_whose_scale_is_elsewhere_are_not_equal() -> None:
    one = torch.nn.Linear(2, 2, bias=False)
    one.weight = torch.nn.Parameter(torch.ones(2, 2, dtype=torch.uint8), requires_grad=False)
    assert not shared_embedding.equal(one, one)


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("kind", ["Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"])
def test_a_network_quantized_by_torchao(name: str, kind: str) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    pipe = build("dit")
    quantization.quantize_(pipe.transformer, getattr(quantization, kind)())
    plain = draw(pipe)
    found, ran = drawn(pipe, name)
    assert ran == {0: STEPS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_embedding, "equal", lambda one, other: False)
        assert torch.equal(found, drawn(pipe, name)[0])
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize("name", USERS)
def test_a_network_quantized_by_quanto(name: str) -> None:
    quanto = pytest.importorskip("optimum.quanto")
    pipe = build("dit")
    quanto.quantize(pipe.transformer, weights=quanto.qint8)
    quanto.freeze(pipe.transformer)
    plain = draw(pipe)
    found, _ = drawn(pipe, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_embedding, "equal", lambda one, other: False)
        assert torch.equal(found, drawn(pipe, name)[0])
    assert torch.equal(draw(pipe), plain)
