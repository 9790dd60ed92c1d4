"""Grid of an image's tokens, read once per generation, and its cells."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from accel.clock import CallListener, Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.sites import Grid, Sites, TokenStream


class TokenGrid(CallListener):
    """Rows and columns of tokens, from the denoiser's arguments; FLUX waits for its device once.

    Attributes:
        shape: rows and columns, of videos with frames before them; empty before the first pass of
            a generation.
    """

    def __init__(self, sites: Sites, stream: TokenStream, clock: Clock) -> None:
        self.sites, self.stream = sites, stream
        self.shape: Grid = ()
        clock.listeners.append(self)

    def clear(self) -> None:
        self.shape = ()

    def attach(self) -> Undo:
        """Watch the denoiser."""
        return replace_forward(self.sites.denoiser, self._watch, traced=False)

    def _watch(self, original: Forward) -> Forward:
        names = self.sites.inputs

        def forward(*args: Any, **kwargs: Any) -> Any:
            if not self.shape:
                self.shape = self.stream.grid(dict(zip(names, args, strict=False)) | kwargs)
            return original(*args, **kwargs)

        return forward


def best_of_cells(score: Tensor, grid: Grid) -> Tensor:
    """1 for the highest score of each 2 x 2 cell of the grid, else 0, `[rows, tokens]`.

    Cells at an odd edge are smaller. All equal scores count as best. Frames of videos have cells of
    their own.
    """
    maps = score.unflatten(1, (-1, *grid[-2:]))
    highest = functional.max_pool2d(maps, 2, ceil_mode=True)
    wide = highest.repeat_interleave(2, -2).repeat_interleave(2, -1)
    best: Tensor = maps == wide[..., : grid[-2], : grid[-1]]
    return best.float().flatten(1)
