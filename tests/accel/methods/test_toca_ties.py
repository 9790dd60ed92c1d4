"""ToCa's choice of tokens depends on the batch only where tokens score the same.

The scores of one image differ between batch sizes by float noise, about 1e-6, as everything that a
network computes does. A choice is all or nothing: where two tokens at the cut tie to that
tolerance, or two of one cell tie for its bonus, another token is chosen, and the image differs by
what a token is worth. Every solver has such ties; which images meet one is chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

import accel
from accel.methods import toca
from tests.support.pipelines.transformer_pipelines import build, draw, strategy

RATIO = [1.0, 0.3, 0.0, 1.0, 0.5, 0.2, 0.4]
TIED = 1e-4
SOLVERS = {"FlowMatchHeunDiscreteScheduler": 4, "FlowMatchEulerDiscreteScheduler": 7}


@dataclass
class Choice:
    """What one feed-forward chose from: scores with and without the bonus, and the chosen tokens.

    Each is `[rows, tokens]`.
    """

    scores: torch.Tensor
    bare: torch.Tensor
    chosen: torch.Tensor


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> list[Choice]:
    """Filled by every choice that ToCa makes."""
    found: list[Choice] = []
    own = toca.TokenwiseFeedForward._narrow

    def narrow(self: toca.TokenwiseFeedForward, hidden: torch.Tensor) -> torch.Tensor:
        made = own(self, hidden)
        if self._chosen is not None and self._kept is not None:
            scores = self._scores(hidden, self._kept)
            with pytest.MonkeyPatch.context() as patch:
                knobs = self.knobs.model_copy(update={"cell_bonus": 0.0})
                patch.setattr(self, "knobs", knobs)
                bare = self._scores(hidden, self._kept)
            chosen = torch.zeros_like(scores, dtype=torch.bool)
            chosen.scatter_(1, self._chosen.index, True)
            found.append(Choice(scores, bare, chosen))
        return made

    monkeypatch.setattr(toca.TokenwiseFeedForward, "_narrow", narrow)
    return found


def first_difference(batch: list[Choice], alone: list[Choice], image: int) -> tuple[Any, ...]:
    """Scores and chosen tokens of both where they first part, or nothing."""
    rows = len(batch[0].scores) // 2
    for many, one in zip(batch, alone, strict=True):
        for half in range(2):
            row = half * rows + image
            if not torch.equal(many.chosen[row], one.chosen[half]):
                return tuple(
                    getattr(choice, field)[index]
                    for field in ("scores", "bare", "chosen")
                    for choice, index in ((many, row), (one, half))
                )
    return ()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("knobs", [{"depth_slope": 0.5}, {"score": "attention"}])
def test_choices_part_only_at_ties(
    solver: str, knobs: dict[str, Any], choices: list[Choice]
) -> None:
    pipe = build("sd3")
    plan = strategy(
        "sd3", {"toca": {"ratio": RATIO} | knobs}, calls=7, steps=SOLVERS[solver], scheduler=solver
    )
    with accel.accelerated(pipe, plan, set_scheduler=True):
        for seed in (0, 3, 6):
            batch = draw(pipe, steps=plan.steps, batch=3, seed=seed)
            together = list(choices)
            for image in range(3):
                choices.clear()
                one = draw(pipe, steps=plan.steps, seed=seed + image)
                parted = first_difference(together, choices, image)
                far = float((batch[image] - one[0]).norm() / one.norm())
                assert far < (1e-2 if parted else 1e-4)
                if parted:
                    explain(*parted)
            choices.clear()


def explain(
    many: torch.Tensor,
    one: torch.Tensor,
    many_bare: torch.Tensor,
    one_bare: torch.Tensor,
    many_chosen: torch.Tensor,
    one_chosen: torch.Tensor,
) -> None:
    """Assert that tokens were exchanged by a tie at the cut, or by one for a cell's bonus."""
    assert float((many_bare - one_bare).abs().max()) < TIED  # The scores themselves are the same.
    cut = one[one_chosen].min()
    at_the_cut = (one[many_chosen != one_chosen] - cut).abs().max() < TIED
    by_a_bonus = ((many - one).abs() > TIED).any()
    assert at_the_cut or by_a_bonus
