"""Default spaces of transformers: `guidance` is searched where the pipeline's own call guides."""

from __future__ import annotations

from typing import Any

import pytest

from accel.models.own_settings import own_settings
from tests.support.pipelines import stack_pipelines, transformer_pipelines

SPACES = {
    **dict.fromkeys(("qwen", "flux2-klein", "z-image", "wan", "chroma", "ltx"), "transformer-all"),
    **dict.fromkeys(("flux2",), "transformer-unguided"),
}


def space(pipe: Any, **given: Any) -> str:
    """Space of a pipeline's own settings."""
    return own_settings("pipe", pipe, "float32", {"height": 64, "width": 64} | given).space


@pytest.mark.parametrize("name", SPACES)
def test_of_newer_pipelines(name: str) -> None:
    assert space(stack_pipelines.build(name)) == SPACES[name]


def test_guidance_that_is_switched_off() -> None:
    """By the user, or because the network is distilled."""
    assert space(stack_pipelines.build("qwen"), guidance=1.0) == "transformer-unguided"
    pipe = stack_pipelines.build("flux2-klein")
    pipe.register_to_config(is_distilled=True)
    assert space(pipe) == "transformer-unguided"


def test_of_flux_and_stable_diffusion_3() -> None:
    """FLUX.1 has its strength of guidance as an input, and guides truly only if asked to."""
    assert space(transformer_pipelines.build("flux")) == "flux-all"
    assert space(transformer_pipelines.build("sd3")) == "mmdit-all"
