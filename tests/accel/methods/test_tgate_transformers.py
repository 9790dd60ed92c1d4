"""T-GATE on PixArt: the laws, guidance in every form, and the published package's images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tgate import TgatePixArtAlphaLoader, TgatePixArtSigmaLoader

import accel
import zoo
from strategies import Strategy, StrategyError
from tests.accel.methods.test_fora import STRONG as FORA
from tests.support.pipelines.transformer_pipelines import build, draw
from tests.support.pipelines.unet_pipelines import STEPS, once

GATE: dict[str, Any] = {"gate": 3, "self_interval": 2, "warmup": 0, "late_interval": 2}
CASES: dict[str, dict[str, Any]] = {
    "tgate": {"tgate": GATE},
    "both halves kept": {"tgate": GATE | {"drop_guidance": False}},
    "no gate": {"tgate": {"self_interval": 3, "cross_interval": 2, "warmup": 0}},
    "with fora": {"tgate": GATE, "fora": FORA},
}


def strategy(methods: dict[str, Any], calls: int = STEPS) -> Strategy:
    return Strategy.create(
        family="dit", scheduler="DDIMScheduler", steps=calls, calls=calls, methods=methods
    )


@pytest.mark.parametrize(
    ("loader", "plan", "size"),
    once(
        [TgatePixArtAlphaLoader, TgatePixArtSigmaLoader],
        [(3, 1, 1, 0), (3, 2, 2, 0), (4, 2, 2, 1), (4, 3, 2, 0), (2, 1, 1, 2)],
        [(32, 32), (24, 40)],
    ),
)
def test_equals_the_package(
    loader: Any, plan: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """Bit-equal; the package leaves its modules patched, so each gets a pipeline of its own."""
    gate, early, late, warmup = plan
    names = ("gate_step", "sp_interval", "fi_interval", "warm_up")
    given: dict[str, Any] = {"height": size[0], "width": size[1]}
    theirs = loader(build("pixart")).tgate(
        "a large red circle",
        **dict(zip(names, plan, strict=True)),
        **zoo.MODELS["tiny-pixart"],
        **given,
        guidance_scale=4.0,
        num_inference_steps=STEPS,
        generator=[torch.Generator().manual_seed(0)],
        output_type="latent",
    )
    pipe = build("pixart")
    knobs = {"gate": gate, "self_interval": early, "late_interval": late, "warmup": warmup}
    plain = draw(pipe, **given)
    accel.apply(pipe, strategy({"tgate": knobs}))
    ours = draw(pipe, **given)
    assert ours.shape[-2:] == (size[0] // 2, size[1] // 2)
    assert torch.equal(ours, theirs.images)
    assert not torch.equal(ours, plain)


def test_law_1_neutral_knobs_change_nothing() -> None:
    pipe = build("pixart")
    for given in ({}, {"guidance_scale": 1.0}, {"batch": 3}, {"height": 24, "width": 40}):
        plain = draw(pipe, **given)
        with accel.accelerated(pipe, strategy({"tgate": {"gate": None, "late_interval": 3}})):
            assert torch.equal(draw(pipe, **given), plain)


@pytest.mark.parametrize("name", CASES)
def test_laws_2_to_4(name: str) -> None:
    """Removed, repeated, and after generations of other kinds, one of which fails."""
    pipe = build("pixart")
    plain = draw(pipe)
    accel.apply(pipe, strategy(CASES[name]))
    mine = draw(pipe)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    draw(pipe, batch=3)
    draw(pipe, guidance_scale=1.0)
    draw(pipe, height=24, width=40)
    step = pipe.scheduler.step

    def fail(*args: Any, **kwargs: Any) -> Any:
        if len(accel.stats(pipe)) == 4:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    pipe.scheduler.step = fail
    with pytest.raises(KeyboardInterrupt):
        draw(pipe)
    pipe.scheduler.step = step
    assert torch.equal(draw(pipe), mine)
    fresh = build("pixart")
    accel.apply(fresh, strategy(CASES[name]))
    assert torch.equal(draw(fresh), mine)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    assert [n for n, m in pipe.transformer.named_modules() if "forward" in vars(m)] == []


def test_law_5_one_half_runs_without_cross_attention() -> None:
    pipe = build("pixart")
    rows: list[int] = []
    ran: dict[str, list[int]] = {"attn1": [], "attn2": [], "ff": []}
    block = pipe.transformer.transformer_blocks[1]
    pipe.transformer.pos_embed.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    for name, inner in (
        ("attn1", block.attn1.to_q), ("attn2", block.attn2.to_q), ("ff", block.ff.net[0])
    ):  # fmt: skip
        inner.register_forward_pre_hook(
            lambda *_, n=name: ran[n].append(accel.stats(pipe)[-1].call)
        )
    accel.apply(pipe, strategy({"tgate": GATE | {"gate": 4, "self_interval": 3}}))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    assert rows == [2, 2, 2, 2, 1, 1]
    # Before the gate at 0 and the last call; behind it at multiples of the late interval.
    assert ran == {"attn1": [0, 3, 4], "attn2": [0, 1, 2, 3], "ff": list(range(6))}
    macs = [record.macs or 0 for record in accel.stats(pipe)]
    assert macs[5] < macs[4] < macs[3] / 2
    assert macs[1] < macs[0] == macs[3]
    names = [f"transformer_blocks.{i}.attn2" for i in range(3)]
    assert accel.stats(pipe)[4].reused == names
    assert len(accel.stats(pipe)[5].reused) == 6


@pytest.mark.parametrize("guidance", [4.0, 1.0])
@pytest.mark.parametrize("name", CASES)
def test_law_6_a_batch_is_its_images(name: str, guidance: float) -> None:
    """Each image of a batch of different prompts is the one it is alone."""
    pipe = build("pixart").to(dtype=torch.float64)
    accel.apply(pipe, strategy(CASES[name]))
    together = draw(pipe, batch=3, guidance_scale=guidance)
    for i in range(3):
        alone = draw(pipe, seed=i, guidance_scale=guidance)
        assert (together[i : i + 1] - alone).norm() < 1e-5 * alone.norm()
    assert (together[0] - together[1]).norm() > 0.1 * together[0].norm()


def test_without_guidance_only_the_attentions_are_reused() -> None:
    """Nothing is averaged or halved: two images are not taken for the halves of one."""
    pipe = build("pixart")
    rows: list[int] = []
    pipe.transformer.pos_embed.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    accel.apply(pipe, strategy({"tgate": GATE}))
    draw(pipe, batch=2, guidance_scale=1.0)
    assert rows == [2] * STEPS
    assert [len(record.reused) for record in accel.stats(pipe)] == [0, 3, 0, 6, 3, 6]


@torch.no_grad()
def two_passes(pipe: Any, noise: torch.Tensor) -> torch.Tensor:
    """Guidance as two passes of the transformer at each call, the unconditional one first."""
    words = ("a large red circle", True, "")
    embeds = pipe.encode_prompt(*words, max_sequence_length=20, clean_caption=False)
    sides = ((embeds[2], embeds[3]), (embeds[0], embeds[1]))
    pipe.scheduler.set_timesteps(STEPS)
    latents = noise
    for t in pipe.scheduler.timesteps:
        first, second = (
            pipe.transformer(
                latents,
                encoder_hidden_states=hidden,
                encoder_attention_mask=mask,
                timestep=t[None].expand(len(latents)),
                return_dict=bool(i),
            )
            for i, (hidden, mask) in enumerate(sides)
        )
        unconditional, conditional = first[0][:, :4], second.sample[:, :4]
        guided = unconditional + 4.0 * (conditional - unconditional)
        latents = pipe.scheduler.step(guided, t, latents).prev_sample
    return latents


@pytest.mark.parametrize("name", CASES)
def test_law_7_guidance_as_two_passes(name: str) -> None:
    pipe = build("pixart").to(dtype=torch.float64)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    plain = draw(pipe, latents=noise)
    torch.testing.assert_close(two_passes(pipe, noise), plain, rtol=1e-5, atol=1e-5)
    accel.apply(pipe, strategy(CASES[name]))
    one = draw(pipe, latents=noise)
    two = two_passes(pipe, noise)
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(one, plain, rtol=1e-3, atol=1e-3)
    predicted = ["prediction" in record.reused for record in accel.stats(pipe)]
    assert predicted == [
        "tgate" in name or name == "with fora" if call >= 3 and branch else False
        for call in range(STEPS)
        for branch in (0, 1)
    ]


def test_law_8_nothing_is_left() -> None:
    from accel.caching.cached_output import CachedOutput

    pipe = build("pixart")
    accel.apply(pipe, strategy({"tgate": GATE}))
    draw(pipe)
    sampler = accel.registry.applied_strategy(pipe)
    assert sampler is not None
    places = [one for one in sampler._clock.listeners if isinstance(one, CachedOutput)]
    assert len(places) == 6
    assert all(place._kept == {} for place in places)


def test_dit_has_nothing_to_gate() -> None:
    pipe = build("dit")
    plain = draw(pipe)
    with pytest.raises(StrategyError, match="cross-attention, which DiTTransformer2DModel"):
        accel.apply(pipe, strategy({"tgate": GATE}))
    assert torch.equal(draw(pipe), plain)
