"""Cases that the laws are checked on: each method alone and joint uses, on every family.

By default every law meets every method alone on every family, and some of the joint uses; which of
them follows from the law's `part`, so that all of them run. The whole product is marked slow.
`tests/accel/laws/test_coverage.py` reads the markers and fails where a law misses a method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.support.pipelines import method_cases, transformer_pipelines

JOINT_USES = 8  # One in so many runs by default with a law.


def law(number: int) -> pytest.MarkDecorator:
    """Marks the tests of one of the nine laws."""
    return pytest.mark.law(number)


def case(family: str, methods: Iterable[str]) -> pytest.MarkDecorator:
    """Marks a test of some methods together on a family."""
    return pytest.mark.case(family, tuple(methods))


def laws(part: int, *axes: Sequence[Any], share: int = 1) -> list[Any]:
    """UNet cases of all methods for a law, with further axes.

    By default each method runs alone, and so does the use of all together. One in `JOINT_USES` of
    the other joint uses runs. Each value of a further axis runs, with changing methods. Where a law
    has several tests, one in `share` of them runs with a method.
    """
    alone = [*method_cases.STRONG, "everything"]
    often = [name for place, name in enumerate(alone) if (place + part) % share == 0]
    often += chosen([name for name in method_cases.JOINT if name not in often], part)
    found: list[Any] = []
    for turn, name in enumerate(sorted(method_cases.ALL, key=lambda one: one not in often)):
        marks = [case("unet", method_cases.ALL[name])]
        found += product([name], axes, turn if name in often else None, marks)
    return found


def cases(
    part: int,
    *axes: Sequence[Any],
    models: Sequence[str] = transformer_pipelines.MODELS,
    share: int = 1,
) -> list[Any]:
    """Transformer cases: topologies, methods and further axes; T-GATE needs cross-attention.

    By default each method runs alone on one topology of each family, and one in `JOINT_USES` of the
    joint uses on one topology. Topologies take turns, and so do the values of further axes. Where a
    law has several tests, one in `share` of them runs with a method on a family.
    """
    found: list[Any] = []
    turn = 0
    for model, name, often in _pairs(part, models, share):
        family = "mmdit" if model in transformer_pipelines.JOINT_ATTENTION else "dit"
        marks = [case(family, transformer_pipelines.ALL[name])]
        found += product([model, name], axes, turn + turn // 3 if often else None, marks)
        turn += often
    return found


def _pairs(part: int, models: Sequence[str], share: int) -> Iterator[tuple[str, str, bool]]:
    """All topologies and methods that fit, and whether they run by default."""
    joint = transformer_pipelines.JOINT_ATTENTION
    families = [[m for m in models if m not in joint], [m for m in models if m in joint]]
    runs: set[tuple[str, str]] = set()
    for family in families:
        for turn, name in enumerate(transformer_pipelines.STRONG, part):
            if turn % share == 0:
                runs |= {(model, name) for model in turning(family, name, turn // share)}
    for place, name in enumerate(chosen([*transformer_pipelines.JOINT], part)):
        runs |= {(model, name) for model in turning(models, name, place + part)}
    for model in models:
        for name in transformer_pipelines.ALL:
            if fits(model, name):
                yield model, name, (model, name) in runs


def turning(models: Sequence[str], name: str, turn: int) -> list[str]:
    """The topology whose turn it is, of those that a case exists on, or none."""
    fitting = [model for model in models if fits(model, name)]
    return [fitting[turn % len(fitting)]] if fitting else []


def fits(model: str, name: str) -> bool:
    """Whether a case exists on a topology."""
    return model == "pixart" or "tgate" not in transformer_pipelines.ALL[name]


def chosen(joint: Sequence[str], part: int) -> list[str]:
    """Joint uses that run by default."""
    return [name for place, name in enumerate(joint) if (place + part) % JOINT_USES == 0]


def product(
    values: Sequence[Any],
    axes: Sequence[Sequence[Any]],
    turn: int | None,
    marks: Sequence[pytest.MarkDecorator],
) -> Iterator[Any]:
    """Parameters of one case with all values of further axes.

    Args:
        values: of the case itself.
        axes: further ones.
        turn: which value of each axis runs by default, counted round; None if none does.
        marks: of all of them.
    """
    rows: list[tuple[bool, tuple[Any, ...]]] = [(turn is not None, ())]
    for axis in axes:
        now = None if turn is None else turn % len(axis)
        rows = [
            (often and place == now, (*row, value))
            for often, row in rows
            for place, value in enumerate(axis)
        ]
    for often, row in rows:
        more = [] if often else [pytest.mark.slow]
        yield pytest.param(*values, *row, marks=[*marks, *more])


def replacing(family: str, names: Sequence[str]) -> list[Any]:
    """Each method after another one, in a circle."""
    before = [*names[-1:], *names]
    return [
        pytest.param(one, name, marks=case(family, [name]))
        for one, name in zip(before, names, strict=False)
    ]


def methods_of(items: Iterable[Any]) -> Mapping[tuple[int, str], set[tuple[str, ...]]]:
    """Of each law and family the methods, alone or together, that collected tests are of."""
    found: dict[tuple[int, str], set[tuple[str, ...]]] = {}
    for item in items:
        numbers = [mark.args[0] for mark in item.iter_markers("law")]
        uses = [mark.args for mark in item.iter_markers("case")]
        for number in numbers:
            for family, methods in uses:
                found.setdefault((number, family), set()).add(methods)
    return found
