"""Published rules: settings that follow from the number of calls, so that they fit any solver.

A rule's name holds its value, such as `deepcache-n3` or `tome-0.5`. A plus joins rules:
`deepcache-n3+tgate-0.4`. Schedules that a paper prints as lists are preset files instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from strategies.errors import StrategyError
from strategies.plugins.families import families_of
from strategies.rules.kinds import KINDS, RuleKind
from strategies.solvers import calls_of, steps_of
from strategies.strategy import Strategy

JOIN = "+"
PAIR = re.compile(r"^(deepcache-n\d+)-(tome-0\.\d+)$")  # A published pair, under its former name.


@dataclass(frozen=True)
class Rule:
    """Acts of some methods for any number of calls.

    Attributes:
        name: name with the rule's value.
        parts: kinds of rules with their values.
    """

    name: str
    parts: tuple[tuple[RuleKind, str], ...]

    @property
    def families(self) -> list[str]:
        """Families of denoisers that all of its methods work on."""
        every = [families_of(kind.method) for kind, _ in self.parts]
        return [name for name in every[0] if all(name in others for others in every)]

    def fitted(self, family: str, scheduler: str, calls: int, steps: int | None = None) -> Strategy:
        """The strategy for one run.

        Args:
            family: kind of denoiser.
            scheduler: class name of the solver.
            calls: number of calls of the run.
            steps: number of its steps; by default those that make so many calls.

        Raises:
            StrategyError: a method does not work on this family, or the rule has nothing for so
                few calls.
        """
        for kind, _ in self.parts:
            if family not in kind.method.families:
                good = [n for one in KINDS if family in one.method.families for n in one.examples]
                raise StrategyError(
                    f"{self.name} is for family {' or '.join(kind.method.families)}, but this "
                    f"denoiser is of family {family!r}; give one of {', '.join(good)}"
                )
        return Strategy.create(
            name=self.name,
            family=family,
            scheduler=scheduler,
            steps=steps_of(scheduler, calls) if steps is None else steps,
            calls=calls,
            methods={kind.method.method: kind.knobs(value, calls) for kind, value in self.parts},
            provenance={"rule": self.name},
        )

    def published(self) -> Strategy:
        """The strategy for the run that the paper measured."""
        paper = self.parts[0][0].paper
        calls = calls_of(paper.scheduler, paper.steps) or paper.steps
        return self.fitted(paper.family, paper.scheduler, calls, paper.steps)


def find_rule(name: str) -> Rule | None:
    """The rule of a name, or None if no rule has it.

    Raises:
        StrategyError: two of its parts are of one method.
    """
    parts = []
    for word in PAIR.sub(rf"\1{JOIN}\2", name).split(JOIN):
        found = [(kind, value) for kind in KINDS if (value := kind.read(word)) is not None]
        if not found:
            return None
        parts += found
    methods = [kind.method.method for kind, _ in parts]
    if len(set(methods)) < len(methods):
        raise StrategyError(f"{name}: two parts are of one method; give each method once")
    return Rule(name, tuple(parts))


def rule_names() -> list[str]:
    """Names of rules, some of each kind."""
    return [name for kind in KINDS for name in kind.examples]
