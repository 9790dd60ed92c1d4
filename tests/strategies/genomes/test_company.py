"""Genomes whose genes disagree: a method that computes several calls at once goes with few."""

from __future__ import annotations

import numpy as np

from strategies import Strategy
from strategies.genomes.company import suits_solver
from tests.support.composed_spaces import of_family, space_of

ONE_BY_ONE = "DPMSolverMultistepScheduler(order=1)"


def test_every_genome_is_a_strategy_of_the_space() -> None:
    space, rng = space_of("unet", ["paradigms", *of_family("unet")]), np.random.default_rng(0)
    seen = set[str]()
    for _ in range(25):
        one = space.decode(tuple(int(rng.integers(0, size)) for size in space.sizes))
        acting = {*one.canonical().methods}
        seen |= acting
        if "paradigms" in acting:
            assert acting <= {"paradigms", "tome"}
            assert one.scheduler == "DDIMScheduler"  # PNDM is of a higher order.
        assert space.decode(space.encode(one)).digest == one.digest
    assert "paradigms" in seen
    assert len(seen) > 2


def test_one_ratio_for_all_calls_stays() -> None:
    space = space_of("unet", ["paradigms", "tome", "deepcache"])
    one = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=7, calls=7,
        methods={"paradigms": {"window": 4}, "tome": {"ratio": 0.5}},
    )  # fmt: skip
    assert space.decode(space.encode(one)).digest == one.digest


def test_the_part_that_a_table_has() -> None:
    space = space_of("unet", ["paradigms", "deepcache"])
    part = space.tabulated()
    assert part.methods == ("deepcache",)
    assert not part.adaptive
    assert part.tabulated() is part


def test_solvers_of_a_method() -> None:
    assert suits_solver((), "PNDMScheduler")
    assert suits_solver(["DDIMScheduler"], "DDIMScheduler(spacing=trailing)")
    assert suits_solver([ONE_BY_ONE], "DPMSolverMultistepScheduler(spacing=trailing,order=1)")
    assert not suits_solver([ONE_BY_ONE], "DPMSolverMultistepScheduler")
    assert not suits_solver(["DDIMScheduler"], "DDIMParallelScheduler")
