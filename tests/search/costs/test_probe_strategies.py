"""The strategies that the latency table is measured by show every kind of call there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.costs.probe_strategies import probes
from strategies import Gene, SearchSpace, Strategy, StrategyError

CALLS = {("DDIMScheduler", n): n for n in (5, 8, 13)}
GENES: dict[str, tuple[Gene, ...]] = {
    "unet": (
        Gene("deepcache", "depth", ("full", 0, 2)),
        Gene("tgate", "gate", (None, 0.3, 0.6)),
        Gene("tgate", "self_interval", (1, 3)),
        Gene("tome", "ratio", (0.0, 0.5)),
    ),
    "dit": (
        Gene("fora", "attn", (True, False)),
        Gene("fora", "mlp", (True, False)),
        Gene("cat", "start", (0.0, 0.4)),
        Gene("cat", "alpha", (1.0, 0.3)),
    ),
}
FREE = (
    Gene("fora", "order", (0, 1, 2)),
    Gene("guidance", "mode", ("full", "off")),
    Gene("guidance", "early", (1.0, 0.6, 1.4)),
    Gene("guidance", "late", (1.0, 0.6, 1.4)),
)
GENES["guided"] = (*GENES["dit"], *FREE)
SPACES = {
    name: SearchSpace(
        "unet" if name == "unet" else "dit", ["DDIMScheduler"], [5, 8, 13], CALLS, one
    )
    for name, one in GENES.items()
}


@pytest.mark.parametrize("family", SPACES)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_kind_is_shown(family: str, data: st.DataObject) -> None:
    space = SPACES[family]
    genome = data.draw(st.tuples(*(st.integers(0, size - 1) for size in space.sizes)))
    strategy = space.decode(genome)
    shown = {kind for one in probes(space, 0) for kind in one.kinds()}
    assert set(strategy.kinds()) <= shown
    assert space.decode(space.encode(strategy)).digest == strategy.digest


def test_knobs_that_cost_nothing_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strength of guidance and order of extrapolation would make 27 times as many strategies."""
    plain = SearchSpace("dit", ["DDIMScheduler"], [13], CALLS, (*GENES["dit"], FREE[1]))
    guided = SearchSpace("dit", ["DDIMScheduler"], [13], CALLS, GENES["guided"])
    made: list[SearchSpace] = []
    decode = SearchSpace.decode

    def counted(space: SearchSpace, genome: Sequence[int]) -> Strategy:
        made.append(space)
        return decode(space, genome)

    monkeypatch.setattr(SearchSpace, "decode", counted)
    kinds = [
        {kind for one in probes(space, 0) for kind in one.kinds()} for space in (plain, guided)
    ]
    assert kinds[0] == kinds[1]
    assert made.count(guided) <= 1.2 * made.count(plain)
    # Further turns only put the same rows together in another order.
    made.clear()
    assert probes(guided, 1) != probes(guided, 2)
    assert len(made) <= 30


def knobs(one: Strategy, name: str) -> Any:
    return one.methods[name]


def test_knobs_of_a_whole_generation_are_shares_of_its_calls() -> None:
    space = SPACES["unet"]
    assert [getattr(gene, "knob", None) for gene in space.global_genes] == ["gate", "self_interval"]
    assert space.global_count == 4
    zero = [0] * len(space.sizes)
    assert space.decode(zero).methods == {}
    gated = space.decode([0, 2, 1, *zero[3:]])
    assert knobs(gated, "tgate").gate == 4  # Three tenths of 13 calls.
    with pytest.raises(StrategyError, match=r"tgate\.gate has the choice 3; it names a call"):
        SearchSpace("unet", ["-"], [5], {("-", 5): 5}, (Gene("tgate", "gate", (None, 3)),))


def test_cat_starts_where_tokens_are_known() -> None:
    strategy = SPACES["dit"].decode([0, 2, 0, *[0, 0, 1] * 13])
    assert knobs(strategy, "cat").start == 2
    assert knobs(strategy, "cat").alpha[:3] == (1.0, 1.0, 0.3)
