"""Path of the image's tokens through a network, or an error that says why it is not known."""

from __future__ import annotations

from accel.compatibility.context_parallel import check_all_tokens
from accel.sites import Sites, TokenStream
from strategies import StrategyError


def stream_of(sites: Sites, method: str) -> TokenStream:
    """Path of the image's tokens through the network.

    Raises:
        StrategyError: the network is no transformer, the path is not known, or several processes
            share the tokens.
    """
    check_all_tokens(sites.denoiser, method)
    if sites.stream is not None:
        return sites.stream
    if not sites.stack:
        raise StrategyError(f"methods.{method} needs a transformer; this model is none")
    network = type(sites.denoiser).__name__
    reason = f": {sites.pathless}" if sites.pathless else ""
    raise StrategyError(
        f"methods.{method} does not know the path of the image's tokens through {network}{reason}; "
        f"take methods.{method} out of the strategy, methods.deltacache works"
    )
