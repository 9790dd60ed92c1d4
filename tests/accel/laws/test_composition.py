"""Where methods meet each other, other features of diffusers, or runs that change on the way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from accel.caching.extrapolation import extrapolate
from accel.token_selection import rows_at
from accel.tokens.merging import averaged, averaged_in_order, match, split_grid
from tests.support.pipelines.two_calls import TwoCalls
from tests.support.pipelines.unet_pipelines import STEPS, build, draw, once, strategy


@pytest.mark.parametrize("align", [True, False])
def test_dato_behind_the_gate_is_the_same_in_two_calls(pipe: Any, align: bool) -> None:
    """The score goes on behind T-GATE's gate, in whichever form guidance comes."""
    methods = {"tgate": {"gate": 3}, "dato": {"ratio": 0.5, "levels": 2, "align_cfg": align}}
    accel.apply(pipe.to(dtype=torch.float64), strategy(methods))
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    one = draw(pipe, latents=noise.double())
    torch.testing.assert_close(one, TwoCalls(pipe).draw(noise=noise.double()), rtol=1e-5, atol=1e-5)
    assert accel.stats(pipe)[-1].reused == ["prediction"]


@pytest.mark.parametrize("methods", [{"dato": {"ratio": 0.5}}, {"tome": {"ratio": 0.5}}])
def test_guidance_that_starts_on_the_way(pipe: Any, methods: dict[str, Any]) -> None:
    """Rows appear in the middle; each of them is attended for itself."""
    prompts = ["a ring", "a square"]
    embeds = [pipe.encode_prompt(prompts, "cpu", 1, True)]
    rows: list[int] = []
    pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_q.register_forward_hook(
        lambda _, args, __: rows.append(len(args[0]))
    )

    def guide(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
        if step != 2:
            return {}
        pipe._guidance_scale = 5.0
        positive, negative = embeds[0]
        return {"prompt_embeds": torch.cat([negative, positive])}

    accel.apply(pipe, strategy(methods))
    found = draw(
        pipe,
        prompt=prompts,
        guidance_scale=1.0,
        callback_on_step_end=guide,
        callback_on_step_end_tensor_inputs=["prompt_embeds"],
    )
    assert torch.isfinite(found).all()
    assert rows == [2, 2, 2, 4, 4, 4]


@pytest.mark.parametrize(("depth", "first"), once([2, 4, 7], [True, False]))
def test_free_u_does_not_touch_what_is_kept(depth: int, first: bool) -> None:
    """FreeU overwrites feature maps; switched on before or after, a reused one stays the same."""
    pipe = build()
    lists = {"depth": ["full", depth, depth, depth, "full", depth]}
    if first:
        pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    accel.apply(pipe, strategy({"deepcache": lists}))
    if not first:
        pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    mine = draw(pipe)
    values: list[torch.Tensor] = []
    sampler = accel.registry.applied_strategy(pipe)
    assert sampler is not None
    (features,) = [one for one in sampler._clock.listeners if type(one).__name__ == "DeepFeatures"]

    def look(*_: Any) -> dict[str, Any]:
        values.extend(history[-1][1].clone() for history in features.kept.values())
        return {}

    assert torch.equal(draw(pipe, callback_on_step_end=look), mine)
    # The feature of call 0, as it is after calls 0, 1 and 2.
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[1], values[2])
    other = build()
    other.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    accel.apply(other, strategy({"deepcache": lists}))
    assert torch.equal(draw(other), mine)


def test_a_shared_scheduler_survives_the_other_samplers_removal() -> None:
    first, second = build(), build()
    second.scheduler = first.scheduler
    accel.apply(first, strategy({"tgate": {"gate": 2}}))
    expected = draw(first)
    accel.apply(second, strategy({"tgate": {"gate": 4}}))
    draw(second)
    accel.remove(second)
    assert torch.equal(draw(first), expected)
    accel.remove(first)
    assert "step" not in vars(first.scheduler)


def test_equal_digests_do_the_same_from_the_middle() -> None:
    """A ratio at a call that repeats the prediction is dead, also where that call comes first."""
    pipe = build("sd1", "img2img")
    depth = {"depth": ["full", 1, 0, 0, 1, 1]}
    one = strategy({"deepcache": depth, "tome": {"ratio": 0.5}})
    other = strategy({"deepcache": depth, "tome": {"ratio": [0.5, 0.5, 0.0, 0.0, 0.5, 0.5]}})
    assert one.digest == other.digest
    found = []
    for each in (one, other):
        accel.apply(pipe, each)
        found.append(draw(pipe, strength=0.67))
        assert accel.stats(pipe)[0].call == 2
    assert torch.equal(*found)


def test_predictions_are_not_extrapolated_over_the_gate(pipe: Any) -> None:
    """Behind it both halves are one; a line through both sides would turn guidance around."""
    outputs: list[torch.Tensor] = []
    methods = {"tgate": {"gate": 3}, "deepcache": {"depth": ["full"] * 4 + [0, "full"], "order": 1}}
    accel.apply(pipe, strategy(methods))
    forward = pipe.unet.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        outputs.append(output[0])
        return output

    pipe.unet.forward = spy
    draw(pipe)
    pipe.unet.forward = forward
    towards = [output[1] - output[0] for output in outputs]
    assert towards[2].norm() > 0
    assert float((towards[4] * towards[2]).sum()) >= 0


def test_half_precision_neither_overflows_nor_divides_by_nothing() -> None:
    constant = [(call, torch.full((1, 4), 3000.0, dtype=torch.float16)) for call in (0, 1, 2)]
    assert extrapolate(constant, 10, 2).tolist() == [[3000.0] * 4]
    tokens = torch.randn(1, 16, 8, generator=torch.Generator().manual_seed(0))
    tokens[0, 0] = 0
    source, destination = split_grid(4, 4, 2, tokens.device)
    merge = match(tokens, source, destination, 8)
    assert merge.into is not None
    assert len(set(merge.into[0].tolist())) > 1


@pytest.mark.parametrize("calls", [11, 21, 26, 102])
@pytest.mark.parametrize("interval", [2, 3, 5, 10])
def test_resampling_keeps_the_share_of_full_calls(interval: int, calls: int) -> None:
    from strategies.methods.deepcache import DeepCache

    knobs = DeepCache.uniform(51, interval)
    one = strategy({"deepcache": knobs}, 51, 50, "PNDMScheduler")
    assert one.resample(calls=51, steps=50) == one
    other = one.resample(calls=calls).methods["deepcache"].model_dump()["depth"]
    assert other.count("full") == pytest.approx(knobs.depth.count("full") * calls / 51, abs=0.6)
    places = [i for i, depth in enumerate(other) if depth == "full"]
    gaps = [b - a for a, b in zip(places, [*places[1:], calls], strict=True)]
    assert max(gaps) <= 2 * interval
    assert places[0] == 0


def test_group_offloading_comes_after(pipe: Any) -> None:
    pipe.unet.up_blocks[3]._diffusers_hook = object()
    before = {id(one): {*vars(one)} for one in pipe.unet.modules()}
    with pytest.raises(accel.StrategyError, match=r"up_blocks.3 has a diffusers hook"):
        accel.apply(pipe, strategy({"deepcache": {"depth": 1}}))
    # Blocks before it had been wrapped by then.
    assert {id(one): {*vars(one)} for one in pipe.unet.modules()} == before
    del pipe.unet.up_blocks[3]._diffusers_hook
    accel.apply(pipe, strategy({"deepcache": {"depth": 1}}))
    assert len(draw(pipe, STEPS)) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_merging_by_a_product_is_merging_by_a_scatter(dtype: torch.dtype) -> None:
    """Which a GPU does instead, as its scatter would add up in another order each time."""
    tokens = torch.randn(2, 63, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    source, destination = split_grid(9, 7, 2, tokens.device)
    merge = match(tokens.float(), source, destination, 20)
    assert merge.merged is not None
    assert merge.into is not None
    kept, gone = rows_at(tokens, merge.kept), rows_at(tokens, merge.merged)
    found = averaged(kept, gone, merge.into, merge.destinations)
    tolerance = 1e-6 if dtype == torch.float32 else 4e-3
    torch.testing.assert_close(found, merge.reduce(tokens), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("contiguous", [True, False])
def test_rows_and_means_are_those_of_gather_and_scatter(
    dtype: torch.dtype, contiguous: bool
) -> None:
    """Bit for bit, also where many tokens go into one and where none do."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 5, 64, generator=generator).to(dtype).transpose(1, 2)
    if contiguous:
        tokens = tokens.contiguous()
    source, destination = split_grid(8, 8, 2, tokens.device)
    for count in (0, 20, 48):
        merge = match(tokens.float(), source, destination, count)
        assert merge.merged is not None
        assert merge.into is not None
        kept, gone = (
            tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, 5))
            for index in (merge.kept, merge.merged)
        )
        assert torch.equal(rows_at(tokens, merge.kept), kept)
        assert torch.equal(rows_at(tokens, merge.kept[0]), tokens[:, merge.kept[0]])
        into = merge.into.unsqueeze(-1).expand(-1, -1, 5)
        wanted = kept.scatter_reduce(1, into, gone, "mean")
        before = tokens.clone()
        assert torch.equal(merge.reduce(tokens), wanted)
        assert torch.equal(tokens, before)


def test_a_mean_of_more_tokens_than_bfloat16_counts() -> None:
    ones = torch.ones(1, 600, 1, dtype=torch.bfloat16)
    into = torch.zeros(1, 300, dtype=torch.int64)
    found = averaged_in_order(ones[:, :300] * 0, ones[:, :300] * 2**-8, into)
    # The sum itself is exact here: 300 / 256, divided by 301.
    assert abs(float(found[0, 0, 0]) - 300 / 256 / 301) <= 0.01 * 300 / 256 / 301
