"""Knobs of AT-EDM's token choice (Wang et al., arXiv 2405.05252) with CAT Pruning's reuse."""

from __future__ import annotations

from typing import ClassVar

from strategies.knobs import register
from strategies.methods.token_share import TokenShare


@register
class ATEDM(TokenShare):
    """Run of the network on only those tokens that others attend to."""

    method: ClassVar[str] = "atedm"
    paper: ClassVar[str] = "AT-EDM, arXiv 2405.05252, as the baseline of CAT Pruning, section 3.1"
