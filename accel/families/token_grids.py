"""Grids of an image's tokens, from the arguments of a denoiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accel.sites import Grid
from strategies import StrategyError

Given = Mapping[str, Any]
REFERENCES = "methods that select tokens take one grid and no reference images"


def patches(given: Given, size: int) -> Grid:
    """Rows and columns of patches in the latents `[n, c, h, w]`."""
    height, width = given["hidden_states"].shape[-2:]
    return height // size, width // size


def of_ids(given: Given) -> Grid:
    """Grid of tokens that come as a list with their positions in `img_ids`.

    FLUX has three numbers for each token, FLUX.2 has four; the second is the row, the third the
    column.

    Raises:
        StrategyError: the tokens are not those of one grid, or keys of reference images are kept.
    """
    if given.get("kv_cache_mode") is not None:
        raise StrategyError(
            "this pipeline keeps keys and values of its reference images between calls; "
            f"{REFERENCES}"
        )
    ids = given["img_ids"]
    ids = ids[0] if ids.ndim == 3 else ids
    places = ids[:, 1:3]  # They need not begin at 0.
    height, width = (int(span) + 1 for span in (places.amax(0) - places.amin(0)).tolist())
    if height * width != len(ids):
        raise StrategyError(
            f"the image has {len(ids)} tokens, but their places are on a grid of {height} x "
            f"{width}; {REFERENCES}"
        )
    return height, width


def of_shapes(given: Given) -> Grid:
    """Grid of tokens whose sizes come as `img_shapes`, a list of pictures for each row.

    Raises:
        StrategyError: there is more than one picture, or they differ between rows.
    """
    rows = (row if isinstance(row[0], Sequence) else (row,) for row in given["img_shapes"])
    found = {tuple(tuple(one) for one in row) for row in rows}
    if len(found) != 1 or len(next(iter(found))) != 1:
        raise StrategyError(f"a row of the batch holds tokens of several pictures; {REFERENCES}")
    ((frames, height, width),) = next(iter(found))
    return (height, width) if frames == 1 else (frames, height, width)


def volume(size: Sequence[int]) -> Callable[[Given], Grid]:
    """Function that reads frames, rows and columns of patches in latents `[n, c, f, h, w]`.

    It raises a StrategyError if each token has a time of its own.
    """

    def grid(given: Given) -> Grid:
        if given["timestep"].ndim > 1:
            raise StrategyError(
                "this pipeline gives each token a time of its own; methods that select tokens take "
                "one time for all"
            )
        shape = given["hidden_states"].shape[-3:]
        return tuple(int(whole) // part for whole, part in zip(shape, size, strict=True))

    return grid
