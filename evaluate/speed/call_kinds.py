"""Kinds of calls, and the cost of a kind that was never measured, from measured ones.

A kind is the set of acts of all methods at a call (`Strategy.kinds`). A space of many methods has
too many kinds to time each. Only each method by itself and methods in pairs are measured.

The logarithm of the cost of any other kind is a sum of effects. A method's effect is its change of
an unaccelerated call. A pair's effect is the difference of both together to both by themselves. A
pair that was not measured takes the effect of the measured pair of the same methods, scaled by the
strength of their effects. Methods that exclude each other count as one.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from math import exp, log

from strategies import StrategyError, registered_methods

MIN_COST = 1e-12  # Smallest cost, so that it has a logarithm.
SLIGHT = 0.01  # An effect below this is noise, and nothing is scaled by it.
MAX_STRENGTH = 2.0  # Largest strength of an effect, relative to a measured one.
_WORDS = re.compile(r" (?=\w+\.\w+=)")
MethodAct = tuple[str, str]  # The place of a method, and what acts there.
MethodActs = frozenset[MethodAct]


@lru_cache(maxsize=65536)
def acts_by_method(kind: str) -> MethodActs:
    """Acts at a call of a kind, by method; methods that exclude each other share one key."""
    found: dict[str, list[str]] = {}
    for word in _WORDS.split(kind) if kind else ():
        method = word.partition(".")[0]
        found.setdefault(method_key(method), []).append(word)
    return frozenset((where, " ".join(words)) for where, words in found.items())


def method_key(method: str) -> str:
    """Key of a method: one for all methods that exclude each other, else the method itself."""
    kind = registered_methods().get(method)
    if kind is not None and kind.reduces_tokens:
        return "tokens"
    return "share" if kind is not None and kind.runs_token_subset else method


def _same(one: MethodAct, other: MethodAct) -> bool:
    """Whether the same method acts."""
    return one[1].partition(".")[0] == other[1].partition(".")[0]


class Kinds:
    """Costs of kinds of calls.

    Args:
        measured: costs by kind; the unaccelerated one, the empty text, is among them.
    """

    def __init__(self, measured: Mapping[str, float]) -> None:
        self.measured = measured
        self._known: dict[str, float] = dict(measured)
        self._logs = {
            acts_by_method(kind): log(max(cost, MIN_COST)) for kind, cost in measured.items()
        }
        self._pairs = self._find_pairs()

    def cost(self, kind: str) -> float:
        """Cost of a kind: measured, or a sum of effects.

        Raises:
            StrategyError: an act of a method was not measured by itself.
        """
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = self._composed(kind)
        return found

    def _composed(self, kind: str) -> float:
        acting = sorted(acts_by_method(kind))
        missing = next((words for p, words in acting if not self._is_there((p, words))), None)
        if missing is not None or len(acting) < 2:
            raise StrategyError(f"the latency table has no entry for {missing or kind!r}")
        total = self._logs[frozenset()] + sum(map(self._effect, acting))
        return exp(total + sum(self._beside(*pair) for pair in itertools.combinations(acting, 2)))

    def _is_there(self, part: MethodAct) -> bool:
        return frozenset([part]) in self._logs

    def _effect(self, part: MethodAct) -> float:
        """Change of the logarithm by a method alone."""
        return self._logs[frozenset([part])] - self._logs[frozenset()]

    def _beside(self, one: MethodAct, other: MethodAct) -> float:
        """Difference of two methods together to the sum of both."""
        pairs = self._pairs[one[0], other[0]]
        if (one, other) in pairs:
            return pairs[one, other]
        # Measured pairs that share a part come first; the strongest of them counts.
        alike = [pair for pair in pairs if one in pair or other in pair] or list(pairs)
        if not alike:
            return 0.0

        def telling(pair: tuple[MethodAct, MethodAct]) -> tuple[int, float]:
            effects = self._effect(pair[0]) * self._effect(pair[1])
            return _same(one, pair[0]) + _same(other, pair[1]), abs(effects)

        a, b = max(alike, key=telling)
        return pairs[a, b] * self._times(one, a) * self._times(other, b)

    def _times(self, one: MethodAct, measured: MethodAct) -> float:
        """Strength of an effect relative to a measured one of the same key."""
        if one == measured:
            return 1.0
        strong = self._effect(measured)
        if abs(strong) < SLIGHT:
            return 0.0
        return min(MAX_STRENGTH, max(0.0, self._effect(one) / strong))

    def _find_pairs(self) -> dict[tuple[str, str], dict[tuple[MethodAct, MethodAct], float]]:
        """Difference of every measured pair to the sum of both, by two keys."""
        found: dict[tuple[str, str], dict[tuple[MethodAct, MethodAct], float]] = defaultdict(dict)
        for together, logarithm in self._logs.items():
            if len(together) == 2 and all(map(self._is_there, together)):
                one, other = sorted(together)
                apart = self._logs[frozenset()] + self._effect(one) + self._effect(other)
                found[one[0], other[0]][one, other] = logarithm - apart
        return found
