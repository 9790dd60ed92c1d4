"""Check of methods that are in one strategy."""

from __future__ import annotations

from collections.abc import Mapping

from strategies.errors import StrategyError
from strategies.knobs import Knobs


def check_pairs(methods: Mapping[str, Knobs], calls: int) -> None:
    """Refuse methods that do not go together.

    Args:
        methods: knobs by method name.
        calls: calls of a generation.

    Raises:
        StrategyError: two methods do not; names them.
    """
    for knobs in methods.values():
        knobs.check_beside(methods)
    narrowing = [name for name, knobs in methods.items() if knobs.runs_token_subset]
    if len(narrowing) > 1:
        raise StrategyError(
            f"methods.{' and methods.'.join(narrowing)} both leave tokens out of the network; "
            "give one of them"
        )
    reducing = {n: k for n, k in methods.items() if k.reduces_tokens}
    for call in range(calls if len(reducing) > 1 else 0):
        acting = [name for name, knobs in reducing.items() if knobs.at(call)]
        if len(acting) > 1:
            raise StrategyError(
                f"methods.{' and methods.'.join(acting)} both take tokens out of "
                f"self-attention at call {call}; let one of them act at a call"
            )
