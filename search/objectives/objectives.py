"""Objectives, which a search minimises, and constraints, which a strategy has to keep.

Every objective is turned into a loss. Latency, multiply-accumulates and distances are losses as
they are. A score that is better when larger becomes the difference to the unaccelerated pipeline's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from evaluate.metrics import METRICS
from strategies import StrategyError

BUNDLED_OBJECTIVES = ("fd_base", "latency_s")
COST_METRICS = ("latency_s", "macs", "memory_bytes")
# Units of an amount, by the kind of its name.
UNITS: dict[str, dict[str, float]] = {
    "s": {"": 1.0, "s": 1.0, "ms": 1e-3},
    "bytes": {"": 1.0, "B": 1.0}
    | {f"{letter}B": 1000.0 ** (i + 1) for i, letter in enumerate("kMGT")}
    | {f"{letter}iB": 1024.0 ** (i + 1) for i, letter in enumerate("KMGT")},
}
_LIMIT = re.compile(r"(min|max)-([a-z0-9_-]+?)(-increase)?")


def higher_is_better(name: str) -> bool:
    """Whether a larger value of a score is the better one."""
    return name in _higher_is_better()


@cache
def _higher_is_better() -> frozenset[str]:
    rows = (metric for metric in METRICS.values() if metric.better == "higher")
    return frozenset({"speedup"} | {metric.key(view) for metric in rows for view in metric.views})


@dataclass(frozen=True)
class Constraint:
    """A constraint on one score or cost.

    Attributes:
        text: name of the flag, such as `min-speedup` or `max-fd_real-increase`.
        name: name of the score or cost.
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
        """Distance beyond the limit, as a share of the limit if that is not 0; 0 is within it."""
        given = scores[self.name] - (base[self.name] if self.relative else 0.0)
        over = self.value - given if self.least else given - self.value
        return max(0.0, over) / (abs(self.value) or 1.0)


def parse_limit(text: str, value: float) -> Constraint:
    """Constraint from its flag without dashes, such as `max-fd-real-increase`, and its value.

    Raises:
        StrategyError: the flag is not `min-NAME`, `max-NAME` or `max-NAME-increase`.
    """
    match = _LIMIT.fullmatch(text)
    if match is None or (match[1] == "min" and match[3]):
        raise StrategyError(
            f"constraint {text!r} is not understood; give min-NAME, max-NAME or "
            "max-NAME-increase, such as min-speedup or max-fd_real-increase"
        )
    name = match[2].replace("-", "_")
    return Constraint(text, name, match[1] == "min", bool(match[3]), value)


def parse_amount(flag: str, text: str) -> float:
    """Value of a constraint, such as `2`, `8GiB` of memory or `300ms` of latency.

    Raises:
        StrategyError: the text is no number, or has a unit that does not fit.
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
class Objectives:
    """Objectives and constraints, with the scores of the unaccelerated pipeline.

    Attributes:
        names: names of the objectives.
        limits: the constraints.
        base: scores of the unaccelerated pipeline, on the same prompts.
        noise_floors: distances that arise by chance between two sets of images of one model, by
            score, for distances that are corrected for it.
    """

    names: tuple[str, ...]
    limits: tuple[Constraint, ...]
    base: Mapping[str, float]
    noise_floors: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        names: Sequence[str],
        limits: Mapping[str, float],
        base: Mapping[str, float],
        noise_floors: Mapping[str, float] | None = None,
    ) -> Objectives:
        """Objectives and constraints by name, checked against the scores that there are.

        Raises:
            StrategyError: a name is unknown; the error lists the known ones.
        """
        parsed = tuple(parse_limit(text, value) for text, value in limits.items())
        unknown = [name for name in (*names, *(limit.name for limit in parsed)) if name not in base]
        if unknown:
            raise StrategyError(
                f"unknown objective or constraint {unknown[0]!r}; this search records "
                f"{', '.join(sorted(base))}"
            )
        return cls(tuple(names), parsed, base, noise_floors or {})

    def compared_with(self, base: Mapping[str, float]) -> Objectives:
        """Objectives and constraints with other scores of the unaccelerated pipeline.

        Raises:
            StrategyError: a name is unknown; the error lists the known ones.
        """
        limits = {limit.text: limit.value for limit in self.limits}
        return Objectives.create(self.names, limits, base, self.noise_floors)

    def restricted_to(self, names: Collection[str]) -> Objectives:
        """Objectives, with only those constraints that are on the given scores."""
        return replace(self, limits=tuple(one for one in self.limits if one.name in names))

    def losses(self, scores: Mapping[str, float]) -> tuple[float, ...]:
        """Losses of all objectives."""
        return tuple(self.loss(name, scores[name]) for name in self.names)

    def loss(self, name: str, value: float) -> float:
        """Loss of one score."""
        return self.base[name] - value if higher_is_better(name) else value

    def violation(self, scores: Mapping[str, float]) -> float:
        """Sum of the violations of all constraints; 0 is feasible."""
        return sum(limit.violation(scores, self.base) for limit in self.limits)

    @property
    def reference_point(self) -> tuple[float, ...]:
        """Reference point, as far as it is known before the search; 0 if nothing is known.

        For a distance to the unaccelerated images it is their own distance to the reference, and at
        least the distance that arises by chance. For memory it is twice the unaccelerated
        pipeline's, since caches take some. A metric may state a scale of its own. For any other
        score it is the unaccelerated pipeline's; where larger is better, that is a loss of
        everything.
        """
        return tuple(self._worst(name) for name in self.names)

    @property
    def unscaled(self) -> tuple[bool, ...]:
        """Whether each objective lacks a scale, so that losses may lie beyond `reference_point`.

        The worst loss that counts is then measured, see `search.study.reference_point`.
        """
        return tuple(name not in COST_METRICS and not self._is_scaled(name) for name in self.names)

    def _is_scaled(self, name: str) -> bool:
        """Whether a score is a distance to the unaccelerated images whose scale is known."""
        stem = name.removesuffix("_base")
        return stem != name and self._worst(name) > 0

    def _worst(self, name: str) -> float:
        stated = next((m.scale for m in METRICS.values() if name in map(m.key, m.views)), None)
        if stated is not None:
            return stated
        stem = name.removesuffix("_base")
        ends = (f"{stem}_real", f"{stem}_self") if stem != name else (name,)
        if name == "memory_bytes":
            return 2 * float(self.base[name])
        known = (max(self.base.get(end, 0.0), self.noise_floors.get(end, 0.0)) for end in ends)
        return float(next((value for value in known if value > 0), 0.0))


def required_scores(names: Iterable[str], limits: Iterable[str]) -> set[str]:
    """Names of the scores that objectives and constraints read."""
    return {*names, *(parse_limit(text, 0.0).name for text in limits)}
