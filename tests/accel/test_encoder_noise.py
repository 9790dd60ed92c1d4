"""The noise of an encoded image follows from the image's seed."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from accel.solvers import encoder_noise
from strategies import StrategyError
from tests.support.models import steered_transformers
from tests.support.models.steered_transformers import draw
from tests.support.pipelines import transformer_pipelines as tiny


@pytest.fixture(scope="module")
def pipe() -> Any:
    plain = tiny.build("sd3")
    parts = plain.components | {"controlnet": steered_transformers.network(plain.transformer)}
    made = diffusers.StableDiffusion3ControlNetPipeline(**parts)
    made.set_progress_bar_config(disable=True)
    return made


def test_without_it_a_seed_is_no_image(pipe: Any) -> None:
    image = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    one, other = (tiny.draw(pipe, control_image=image) for _ in range(2))
    assert not torch.equal(one, other)


def test_a_batch_is_its_images_and_a_seed_is_an_image(pipe: Any) -> None:
    before = set(vars(pipe.vae))
    three, four = draw(pipe, seed=3), draw(pipe, seed=4)
    assert torch.equal(draw(pipe, seed=3), three)
    both = draw(pipe, seed=3, batch=2)
    assert (both - torch.cat([three, four])).norm() / both.norm() < 1e-4
    assert not torch.equal(three, four)
    assert set(vars(pipe.vae)) == before


def test_generators_are_not_advanced(pipe: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    before = generator.get_state()
    pixels = torch.zeros(1, 3, 16, 16)
    with encoder_noise.seeded_encoder(pipe, [generator]):
        one, other = (pipe.vae.encode(pixels).latent_dist.sample() for _ in range(2))
        handed = pipe.vae.encode(pixels, return_dict=False)[0].sample(generator)
    assert torch.equal(one, other)
    assert not torch.equal(one, handed)  # A generator that the pipeline hands on is used.
    assert torch.equal(handed, pipe.vae.encode(pixels).latent_dist.sample(_again(before)))


def _again(state: torch.Tensor) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def test_rows_that_are_no_images_are_refused(pipe: Any) -> None:
    generators = [torch.Generator().manual_seed(n) for n in range(2)]
    with (
        encoder_noise.seeded_encoder(pipe, generators),
        pytest.raises(StrategyError, match="encodes 3 rows for 2 images"),
    ):
        pipe.vae.encode(torch.zeros(3, 3, 16, 16)).latent_dist.sample()
