"""Genomes and strategies: every genome means a strategy, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import Gene, SearchSpace, StrategyError

SOLVERS, STEPS = ("DDIMScheduler", "PNDMScheduler"), (4, 7, 10)
CALLS = {(s, n): n + (s == "PNDMScheduler") for s in SOLVERS for n in STEPS}
GENES = (Gene("deepcache", "depth", ("full", 0, 1, 3)), Gene("tome", "ratio", (0.0, 0.5)))
SPACE = SearchSpace("unet", SOLVERS, STEPS, CALLS, GENES, {"tome": {"levels": 2}})
GENOMES = st.tuples(*(st.integers(0, size - 1) for size in SPACE.sizes))


@given(GENOMES)
def test_decode_encode_decode(genome: tuple[int, ...]) -> None:
    strategy = SPACE.decode(genome)
    again = SPACE.decode(SPACE.encode(strategy))
    assert again.digest == strategy.digest
    assert strategy.calls == CALLS[strategy.scheduler, strategy.steps]


@given(st.integers(1, 11))
def test_every_call_has_its_own_slot(calls: int) -> None:
    slots = [SPACE.slot(call, calls) for call in range(calls)]
    assert slots == sorted(set(slots))
    assert slots[0] >= 0
    assert slots[-1] < SPACE.slots == 11


def test_the_zero_genome_does_nothing() -> None:
    assert SPACE.decode((0,) * len(SPACE.sizes)).methods == {}


def test_bad_genomes_and_spaces_are_refused() -> None:
    with pytest.raises(StrategyError, match="genes here, not 3"):
        SPACE.decode((0, 0, 0))
    with pytest.raises(StrategyError, match="gene 0 is 2"):
        SPACE.decode((2,) + (0,) * (len(SPACE.sizes) - 1))
    with pytest.raises(StrategyError, match="not a knob"):
        SearchSpace("unet", SOLVERS, STEPS, CALLS, (Gene("tome", "level", (1,)),))
    with pytest.raises(StrategyError, match=r"at most 0\.75"):
        SearchSpace("unet", SOLVERS, STEPS, CALLS, (Gene("tome", "ratio", (0.9,)),))
    with pytest.raises(StrategyError, match="not in this space"):
        SPACE.encode(SPACE.decode((0,) * len(SPACE.sizes)).resample(calls=5))
