"""Attention processors: each method takes those it goes with, and refuses others by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import (
    Attention,
    AttnProcessor,
    AttnProcessor2_0,
    PAGCFGIdentitySelfAttnProcessor2_0,
    SlicedAttnProcessor,
)

import accel
from accel.compatibility.attention_processors import Trait, attentions, traits
from strategies import StrategyError
from tests.support.pipelines import method_cases, transformer_pipelines, unet_pipelines
from tests.support.pipelines.attention_processors import (
    Fails,
    FirstRow,
    Halves,
    Holds,
    Keeps,
    Kernel,
    Pairs,
    Writes,
)

EXPECTED: dict[type[Any], set[Trait]] = {
    AttnProcessor: set(),
    AttnProcessor2_0: set(),
    Kernel: set(),
    FirstRow: {Trait.ROWS},
    Pairs: {Trait.ROWS},
    Keeps: {Trait.KEEPS},
    Writes: {Trait.KEEPS},
    Holds: set(Trait),
    Halves: {Trait.SPLITS},
    Fails: set(Trait),
    PAGCFGIdentitySelfAttnProcessor2_0: {Trait.ROWS, Trait.SPLITS},
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_traits_are_found_and_a_trial_leaves_nothing(kind: type[Any]) -> None:
    torch.manual_seed(0)
    module, processor = Attention(16, heads=2, dim_head=8), kind()
    beside, own = dict(vars(module)), dict(vars(processor))
    random = torch.random.get_rng_state()
    assert traits(module, processor) == EXPECTED[kind]
    assert vars(module) == beside
    assert vars(processor) == own
    assert torch.equal(torch.random.get_rng_state(), random)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_no_trait(dtype: torch.dtype) -> None:
    module = Attention(16, cross_attention_dim=24, heads=2, dim_head=8).to(dtype)
    assert traits(module, Kernel()) == set()
    assert traits(module, FirstRow()) == {Trait.ROWS}


@pytest.mark.parametrize(
    ("name", "kind", "before"),
    unet_pipelines.spread(method_cases.ALL, [Kernel, SlicedAttnProcessor], [True, False], every=15),
)
def test_plain_kernels_are_taken(kind: Any, name: str, before: bool) -> None:
    """And the image is that of the built-in kernel, up to rounding."""
    pipe = unet_pipelines.build().to(dtype=torch.float64)
    accel.apply(pipe, unet_pipelines.strategy(method_cases.ALL[name]))
    wanted = unet_pipelines.draw(pipe)
    accel.remove(pipe)
    make = (lambda: SlicedAttnProcessor(1)) if kind is SlicedAttnProcessor else kind
    if before:
        pipe.unet.set_attn_processor({key: make() for key in pipe.unet.attn_processors})
    accel.apply(pipe, unet_pipelines.strategy(method_cases.ALL[name]))
    if not before:
        pipe.unet.set_attn_processor({key: make() for key in pipe.unet.attn_processors})
    mine = unet_pipelines.draw(pipe)
    assert (mine - wanted).norm() < 1e-6 * wanted.norm()


BREAKS: dict[str, tuple[type[Any], ...]] = {
    "deepcache": (Keeps, Holds, Fails),
    "blockcache": (Keeps, Holds, Fails),
    "tome": (Keeps, Holds, Fails),
    "dato": (Keeps, Holds, Fails),
    "catome": (Keeps, Holds, Fails, FirstRow, Pairs),
    "tgate": (Keeps, Holds, Fails, FirstRow, Pairs),
}


@pytest.mark.parametrize(
    ("name", "kind"), unet_pipelines.spread(BREAKS, [FirstRow, Keeps, Holds], every=2)
)
def test_processors_that_a_method_would_mislead(name: str, kind: type[Any]) -> None:
    """Refused where it is there at `apply`, and at the first call where it comes later."""
    pipe = unet_pipelines.build()
    pipe.unet.set_attn_processor(kind())
    plain = unet_pipelines.draw(pipe)
    accel.apply(pipe, unet_pipelines.strategy(method_cases.neutral(name)))
    assert torch.equal(unet_pipelines.draw(pipe), plain)
    accel.remove(pipe)
    one = unet_pipelines.strategy(method_cases.STRONG[name])
    if kind not in BREAKS[name]:
        accel.apply(pipe, one)
        assert torch.isfinite(unet_pipelines.draw(pipe)).all()
        return
    with pytest.raises(StrategyError, match=f"methods.{name} cannot .* {kind.__name__} of "):
        accel.apply(pipe, one)
    assert torch.equal(unet_pipelines.draw(pipe), plain)
    pipe.unet.set_attn_processor(AttnProcessor2_0())
    accel.apply(pipe, one)
    mine = unet_pipelines.draw(pipe)
    pipe.unet.set_attn_processor(kind())
    with pytest.raises(StrategyError, match=f"methods.{name} cannot"):
        unet_pipelines.draw(pipe)
    pipe.unet.set_attn_processor(AttnProcessor2_0())
    assert torch.equal(unet_pipelines.draw(pipe), mine)


@pytest.mark.parametrize(
    ("model", "name"),
    unet_pipelines.spread(["sd3", "flux", "pixart"], ["cat", "atedm", "fora", "toca"], every=3),
)
def test_a_processor_that_keeps_on_a_transformer(model: str, name: str) -> None:
    pipe = transformer_pipelines.build(model)
    attention = next(iter(attentions(pipe.transformer).values()))
    kind = type(attention.processor)

    class Keeping(kind):  # type: ignore[misc, valid-type]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            self.seen = made = super().__call__(*args, **kwargs)
            return made

    class Passing(kind):  # type: ignore[misc, valid-type]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs)

    attention.processor = Passing()
    with accel.accelerated(
        pipe, transformer_pipelines.strategy(model, transformer_pipelines.STRONG[name])
    ):
        assert torch.isfinite(transformer_pipelines.draw(pipe)).all()
    attention.processor = Keeping()
    with pytest.raises(StrategyError, match=f"methods.{name} cannot .* Keeping of "):
        accel.apply(pipe, transformer_pipelines.strategy(model, transformer_pipelines.STRONG[name]))
