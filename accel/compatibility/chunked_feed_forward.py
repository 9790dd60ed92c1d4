"""Check for chunked feed-forwards, which methods that keep outputs cannot work with."""

from __future__ import annotations

from collections.abc import Iterable

from accel.clock import CallListener, Clock
from accel.sites import Sites, Sublayer
from strategies import StrategyError


class ChunkedFeedForwardGuard(CallListener):
    """Check that feed-forwards are not chunked: at the start and at every pass.

    diffusers calls a chunked feed-forward several times in a pass, with the same module for every
    chunk.

    Args:
        kept: parts whose outputs are kept; only feed-forwards among them matter.

    Raises:
        StrategyError: some block runs its feed-forward in chunks.
    """

    def __init__(self, sites: Sites, clock: Clock, method: str, kept: Iterable[Sublayer]) -> None:
        names = {part.name.rpartition(".")[0] for part in kept if "mlp" in part.kinds}
        self.method, self.blocks = method, [sites.denoiser.get_submodule(name) for name in names]
        self.begin()
        clock.listeners.append(self)

    def begin(self) -> None:
        if any(getattr(block, "_chunk_size", None) is not None for block in self.blocks):
            raise StrategyError(
                f"methods.{self.method} keeps outputs of whole feed-forwards, but the transformer "
                "runs them in chunks; call disable_forward_chunking() on it, or "
                "set_chunk_feed_forward(None) on its blocks"
            )
