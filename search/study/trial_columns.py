"""Parameters of a trial for a dashboard; the search itself reads the genome."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from strategies import Strategy
from strategies.knobs import registered_methods

RANGES = {"steps": IntDistribution(1, 10_000)}
SHARE = FloatDistribution(0, 1)


def columns(strategy: Strategy) -> tuple[dict[str, int | float], dict[str, BaseDistribution]]:
    """The same names for all of a family, with their ranges: the steps, and the share of the calls
    at which each method acts.
    """
    found: dict[str, int | float] = {"steps": strategy.steps}
    alive = strategy.canonical().methods
    for name, kind in registered_methods().items():
        if strategy.family in kind.families:
            acts = 0
            if name in alive:
                acts = sum(bool(alive[name].at(call)) for call in range(strategy.calls))
            found[name] = acts / strategy.calls
    return found, {name: RANGES.get(name, SHARE) for name in found}
