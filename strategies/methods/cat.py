"""Knobs of CAT Pruning (Cheng et al., "Cluster-Aware Token Pruning", arXiv 2502.00433)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, StrictBool, StrictInt

from strategies.knobs import register
from strategies.methods.token_share import TokenShare


@register
class CAT(TokenShare):
    """Run of the network on only those tokens whose prediction changes much, and the stalest
    ones.
    """

    method: ClassVar[str] = "cat"
    paper: ClassVar[str] = "CAT Pruning, arXiv 2502.00433, Algorithms 1 and 2"

    clusters: StrictInt = Field(
        default=20,
        ge=1,
        le=1024,
        description="number of clusters of the image's tokens; at most one per token",
    )
    decay: float = Field(
        default=0.5,
        strict=True,
        ge=0,
        le=1,
        description="weight of the number of times that a token ran (a in equation 2, which "
        "names no value); up to 0.5 the stalest token is the one that ran longest ago",
    )
    position_in_score: StrictBool = Field(
        default=True,
        description="clusters are ranked by noise plus position (Algorithm 2, lines 6 and 12); "
        "false ranks them by noise alone, as the published code does",
    )
