"""DeepCache beside a T2I-Adapter, which adds to what each block on the way down gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from accel import families
from strategies import Strategy
from tests.support.pipelines import any_class


@pytest.fixture(scope="module", params=["StableDiffusionAdapter", "StableDiffusionXLAdapter"])
def pipe(request: pytest.FixtureRequest) -> Any:
    return any_class.build(f"{request.param}Pipeline")


def once(pipe: Any, time: torch.Tensor) -> torch.Tensor:
    """The denoiser at one input, with what an adapter adds to it."""
    noise = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 32, 32, generator=noise)
    xl = "text_encoder_2" in pipe.components
    given: dict[str, Any] = {}
    if xl:
        width = pipe.unet.config.projection_class_embeddings_input_dim
        times = 6 * pipe.unet.config.addition_time_embed_dim
        given["added_cond_kwargs"] = {
            "text_embeds": torch.randn(1, width - times, generator=noise),
            "time_ids": torch.randn(1, 6, generator=noise),
        }
    text = torch.randn(1, 5, pipe.unet.config.cross_attention_dim, generator=noise)
    added = [one.clone() for one in pipe.adapter(image)]
    side = added[0].shape[-1] * (2 if xl else 1)  # XL adds behind its first downsampling.
    sample = torch.randn(1, 4, side, side, generator=noise)
    with torch.no_grad():
        found: torch.Tensor = pipe.unet(
            sample, time, text, down_intrablock_additional_residuals=added, **given
        ).sample
    return found


def test_every_depth_reuses_what_the_same_input_gave(pipe: Any) -> None:
    """A call at the input of the one before gives the same, at whatever depth it is cut."""
    levels = families.find_sites(pipe)[1].skip_levels
    pipe.scheduler.set_timesteps(2)
    pipe.scheduler.timesteps[1] = pipe.scheduler.timesteps[0]
    first, again = pipe.scheduler.timesteps
    plain = once(pipe, first)
    for depth in range(levels + 1):
        strategy = Strategy.create(
            family="unet", scheduler=type(pipe.scheduler).__name__, steps=2, calls=2,
            methods={"deepcache": {"depth": ["full", depth]}},
        )  # fmt: skip
        accel.apply(pipe, strategy)
        try:
            assert torch.equal(once(pipe, first), plain)
            torch.testing.assert_close(once(pipe, again), plain, atol=2e-6, rtol=0)
            assert accel.stats(pipe)[-1].call == 1
        finally:
            accel.remove(pipe)
