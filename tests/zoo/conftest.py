"""Fixtures of the tests of the bundled models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.zoo.small_training import MODEL, RECIPE
from zoo import train
from zoo.recipes import RECIPES, STAGES


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of the portraits with a few images everywhere."""
    stages = tuple(
        replace(
            stage, plan=replace(stage.plan, images=end, decay=4, start=start, batch=4, save_every=8)
        )
        for stage, start, end in zip(RECIPE.stages, (0, 8, 16), (8, 16, 24), strict=True)
    )
    recipe = replace(
        RECIPE, stages=stages, images=16, features=2, autoencoder=2, judge=2, text=2, scored=8
    )
    monkeypatch.setitem(RECIPES, MODEL, recipe)
    monkeypatch.setitem(STAGES, MODEL, stages)
    monkeypatch.setattr(train, "LOOKS", 1)
