"""Noise of an autoencoder's encoder, taken from the generators of the images.

An encoder gives a distribution, and pipelines sample from it. Most of them pass the caller's
generators. The ControlNet pipelines of Stable Diffusion 3 and HunyuanDiT, the control pipeline of
CogView4 and others do not (diffusers 0.42.1), and then sample from torch's global stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor

from accel.patching.layers import Forward
from accel.patching.replacing import replace_method
from strategies import StrategyError


@contextmanager
def seeded_encoder(pipe: Any, generators: Sequence[Generator]) -> Iterator[None]:
    """Let samples of encoded images follow from the images' generators inside the `with` block.

    The generators themselves are not advanced, so that the start of each image stays as it is.

    Args:
        pipe: pipeline that generates; one without an autoencoder is left as it is.
        generators: random generators, one for each image of the batch.

    Raises:
        StrategyError: the encoded rows are not the images, once or several times.
    """
    vae = getattr(pipe, "vae", None)
    if not hasattr(vae, "encode"):
        yield
        return
    seeds = [_seed(one) for one in generators]

    def make(original: Forward) -> Forward:
        def encode(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            found: Any = output[0] if isinstance(output, tuple) else None
            found = getattr(output, "latent_dist", found)
            if hasattr(found, "sample") and isinstance(getattr(found, "mean", None), Tensor):
                found.sample = _sampling(found.sample, seeds, len(found.mean))
            return output

        return encode

    undo = replace_method(vae, "encode", make)
    try:
        yield
    finally:
        undo()


def _sampling(own: Forward, seeds: Sequence[int], rows: int) -> Forward:
    """The `sample` of a distribution, with a generator for each row if it is given none."""

    def sample(generator: Any = None, *args: Any, **kwargs: Any) -> Any:
        return own(_of_rows(seeds, rows) if generator is None else generator, *args, **kwargs)

    return sample


def _of_rows(seeds: Sequence[int], rows: int) -> list[Generator]:
    """A new generator for each encoded row; both halves of guidance get the same."""
    times, left = divmod(rows, len(seeds))
    if left or not times:
        raise StrategyError(
            f"the pipeline encodes {rows} rows for {len(seeds)} images, so the encoder's noise "
            "cannot follow from their seeds; give one input image for each prompt"
        )
    return [torch.Generator().manual_seed(seed) for seed in [*seeds] * times]


def _seed(generator: Generator) -> int:
    """A seed that follows from the state of a generator, and does not change it."""
    copy = generator.clone_state()
    return int(torch.randint(0, 2**63 - 1, (), generator=copy, device=copy.device))
