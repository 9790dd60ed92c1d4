"""Grid of an image's tokens, read once per generation."""

from __future__ import annotations

from typing import Any

from accel.clock import Clock, Listener
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.sites import Sites, TokenStream


class TokenGrid(Listener):
    """Rows and columns of tokens, from the denoiser's arguments; FLUX waits for its device once.

    Attributes:
        shape: rows and columns; (0, 0) before the first pass of a generation.
    """

    def __init__(self, sites: Sites, stream: TokenStream, clock: Clock) -> None:
        self.sites, self.stream = sites, stream
        self.shape = (0, 0)
        clock.listeners.append(self)

    def clear(self) -> None:
        self.shape = (0, 0)

    def attach(self) -> Undo:
        """Watch the denoiser."""
        return replace_forward(self.sites.denoiser, self._watch, traced=False)

    def _watch(self, original: Forward) -> Forward:
        names = self.sites.inputs

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.shape == (0, 0):
                self.shape = self.stream.grid(dict(zip(names, args, strict=False)) | kwargs)
            return original(*args, **kwargs)

        return forward
