"""Kinds of calls of a composed space, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

from evaluate.speed.call_kinds import Kinds
from search.costs import call_kinds as wanted
from search.costs.probe_strategies import probes
from search.spaces import with_calls
from strategies import StrategyError
from strategies.data_files.configs import configs, read_config
from tests.support.composed_spaces import FAMILIES, of_family, space_of


@pytest.mark.parametrize("family", FAMILIES)
def test_wanted_kinds_are_few_and_shown(family: str) -> None:
    """By few generations; and of every strategy of the space the latency follows from them."""
    space, rng = space_of(family, of_family(family)), np.random.default_rng(3)
    wants = wanted.plan(space).wants
    assert len(wants) < 180
    for seed in (0, 1):
        rows = probes(space, seed)
        shown = {kind for one in rows for kind in one.kinds()}
        assert {want.kind for want in wants} <= shown
        assert len(rows) <= 2 + len(wants) // 6
    table = Kinds({want.kind: 1.0 for want in wants})
    for _ in range(100):
        for kind in space.decode(tuple(int(rng.integers(0, size)) for size in space.sizes)).kinds():
            assert table.cost(kind) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name", [n for n in configs("spaces") if read_config("spaces", n).get("methods")]
)
def test_latency_is_known_throughout_every_shipped_space(name: str) -> None:
    """Knobs of the whole generation that have many choices hide nothing from the measurement."""
    settings = read_config("spaces", name)
    calls = {(s, n): n for s in settings["schedulers"] for n in settings["steps"]}
    space = with_calls(settings, settings["family"], calls).tabulated()
    rng = np.random.default_rng(5)
    wants = wanted.plan(space).wants
    assert len(wants) < 120
    table = Kinds({want.kind: 1.0 for want in wants})
    for _ in range(400):
        for kind in space.decode(tuple(int(rng.integers(0, size)) for size in space.sizes)).kinds():
            assert table.cost(kind) == pytest.approx(1.0)


def test_costs_of_kinds_are_sums_of_effects() -> None:
    """Exactly where effects multiply, but for pairs that were measured, and rank by strength."""
    one, two = "deepcache.depth=1", "deepcache.depth=3"
    weak, strong = "dato.ratio=0.3", "dato.ratio=0.7"
    table = Kinds({
        "": 1.0, one: 0.2, two: 0.6, weak: 0.9, strong: 0.8, "tgate.cross=True": 0.7,
        f"{strong} {one}": 0.2, f"{strong} {two}": 0.48,
    })  # fmt: skip
    assert table.cost(f"{strong} {one}") == 0.2
    assert table.cost(f"{weak} {one}") == pytest.approx(0.2)  # Neither does anything there.
    assert table.cost(f"{weak} {two}") == pytest.approx(0.54)
    assert table.cost(f"{two} tgate.cross=True") == pytest.approx(0.42)
    assert table.cost(f"{strong} {one} tgate.cross=True") == pytest.approx(0.14)
    with pytest.raises(StrategyError, match=r"no entry for 'dato\.ratio=0\.5'"):
        table.cost(f"dato.ratio=0.5 {two}")
    with pytest.raises(StrategyError, match="no entry"):
        table.cost("tome.ratio=0.5")
