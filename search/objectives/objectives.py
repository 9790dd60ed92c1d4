"""What a search minimises, and the limits that a strategy has to keep.

Every objective is turned into a loss: latency, multiply-accumulates and distances as they are, of
figures of which more is better how much lower they are than the unaccelerated pipeline's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evaluate.metrics import METRICS
from strategies import StrategyError

DEFAULT = ("fd_base", "latency_s")
COSTS = ("latency_s", "macs", "memory_bytes")
# Figures of which more is better; of every other less is.
MORE = {"speedup"} | {
    metric.key(view)
    for metric in METRICS.values()
    if metric.better == "higher"
    for view in metric.views
}
# What an amount may end with, by the last word of the figure's name.
UNITS: dict[str, dict[str, float]] = {
    "s": {"": 1.0, "s": 1.0, "ms": 1e-3},
    "bytes": {"": 1.0, "B": 1.0}
    | {f"{letter}B": 1000.0 ** (i + 1) for i, letter in enumerate("kMGT")}
    | {f"{letter}iB": 1024.0 ** (i + 1) for i, letter in enumerate("KMGT")},
}
_LIMIT = re.compile(r"(min|max)-([a-z0-9_-]+?)(-increase)?")


def more_is_better(name: str) -> bool:
    """Whether a larger value of this figure is the better one."""
    return name in MORE


@dataclass(frozen=True)
class Limit:
    """A constraint on one figure.

    Attributes:
        text: as it was given, such as `min-speedup` or `max-fd_real-increase`.
        name: of the figure.
        least: whether the limit is a lower one.
        relative: whether it holds for the difference to the unaccelerated pipeline.
        value: the limit.
    """

    text: str
    name: str
    least: bool
    relative: bool
    value: float

    def violation(self, scores: Mapping[str, float], base: Mapping[str, float]) -> float:
        """How far outside, as a share of the limit where that is not 0; 0 inside."""
        given = scores[self.name] - (base[self.name] if self.relative else 0.0)
        over = self.value - given if self.least else given - self.value
        return max(0.0, over) / (abs(self.value) or 1.0)


def parse_limit(text: str, value: float) -> Limit:
    """A constraint from its flag without dashes, such as `max-fd-real-increase`, and its value.

    Raises:
        StrategyError: not of the form `min-NAME`, `max-NAME` or `max-NAME-increase`.
    """
    match = _LIMIT.fullmatch(text)
    if match is None or (match[1] == "min" and match[3]):
        raise StrategyError(
            f"constraint {text!r} is not understood; give min-NAME, max-NAME or "
            "max-NAME-increase, such as min-speedup or max-fd_real-increase"
        )
    name = match[2].replace("-", "_")
    return Limit(text, name, match[1] == "min", bool(match[3]), value)


def parse_amount(flag: str, text: str) -> float:
    """The value of a constraint, such as `2`, `8GiB` of memory or `300ms` of latency.

    Raises:
        StrategyError: no number, or a unit that the figure does not have.
    """
    match = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)", text.strip())
    stem = parse_limit(flag, 0.0).name
    kind = "bytes" if stem.startswith("memory") else "s" if stem.startswith("latency") else ""
    units = UNITS.get(kind, {"": 1.0})
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        hint = f", or one with {known}" if known else ""
        raise StrategyError(f"--{flag} is {text!r}; give it a number{hint}")
    return float(match[1]) * units[match[2]]


@dataclass(frozen=True)
class Goals:
    """Objectives and constraints, with the unaccelerated pipeline's figures.

    Attributes:
        names: of the objectives.
        limits: the constraints.
        base: figures of the unaccelerated pipeline, on the same prompts.
        chance: by figure, how far two sets of so many images of one model are apart by chance,
            where a distance has that taken out.
    """

    names: tuple[str, ...]
    limits: tuple[Limit, ...]
    base: Mapping[str, float]
    chance: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        names: Sequence[str],
        limits: Mapping[str, float],
        base: Mapping[str, float],
        chance: Mapping[str, float] | None = None,
    ) -> Goals:
        """Goals by name, checked against the figures that there are.

        Raises:
            StrategyError: a name that no evaluation records; lists those that it does.
        """
        parsed = tuple(parse_limit(text, value) for text, value in limits.items())
        unknown = [name for name in (*names, *(limit.name for limit in parsed)) if name not in base]
        if unknown:
            raise StrategyError(
                f"objective or constraint {unknown[0]!r} is no figure of this search; there are "
                f"{', '.join(sorted(base))}"
            )
        return cls(tuple(names), parsed, base, chance or {})

    def only(self, names: Collection[str]) -> Goals:
        """The same with the limits on these figures alone."""
        return replace(self, limits=tuple(one for one in self.limits if one.name in names))

    def losses(self, scores: Mapping[str, float]) -> tuple[float, ...]:
        """What is minimised."""
        return tuple(self.loss(name, scores[name]) for name in self.names)

    def loss(self, name: str, value: float) -> float:
        """One figure as a loss."""
        return self.base[name] - value if more_is_better(name) else value

    def violation(self, scores: Mapping[str, float]) -> float:
        """The sum over the constraints of how far each is broken; 0 is feasible."""
        return sum(limit.violation(scores, self.base) for limit in self.limits)

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst point that counts, as far as it is known before the search.

        Of a distance to the unaccelerated images, as far as those are from the reference, and at
        least as far as two sets of one model are apart by chance; of other figures the
        unaccelerated pipeline's own, which for those where more is better is a loss of everything;
        where that is nothing, 0. Of memory twice its own: caches take some.
        """
        return tuple(self._worst(name) for name in self.names)

    @property
    def unscaled(self) -> tuple[bool, ...]:
        """Which objectives have no scale of their own, so that losses may lie beyond `reference`;
        the worst of them that counts is measured, see `search.study.reference_point`.
        """
        return tuple(name not in COSTS and not self._is_scaled(name) for name in self.names)

    def _is_scaled(self, name: str) -> bool:
        """Of a distance to the unaccelerated images, whether that to the reference is known."""
        stem = name.removesuffix("_base")
        return stem != name and self._worst(name) > 0

    def _worst(self, name: str) -> float:
        stem = name.removesuffix("_base")
        ends = (f"{stem}_real", f"{stem}_self") if stem != name else (name,)
        if name == "memory_bytes":
            return 2 * float(self.base[name])
        known = (max(self.base.get(end, 0.0), self.chance.get(end, 0.0)) for end in ends)
        return float(next((value for value in known if value > 0), 0.0))


def needed(names: Iterable[str], limits: Iterable[str]) -> set[str]:
    """Figures that objectives and constraints read."""
    return {*names, *(parse_limit(text, 0.0).name for text in limits)}
