"""Optuna's TPE without what it does over and over: the same proposals in a fraction of the time.

For each of some eighty genes of one proposal the sampler splits all finished trials again and reads
the one parameter out of each. Here both are done once for a proposal, so that a row of a thousand
evaluations over five seeds takes minutes instead of hours.
`tests/benchmarks/test_search_quality.py` holds
the proposals equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import TPESampler
from optuna.samplers._tpe import sampler
from optuna.trial import FrozenTrial


@dataclass
class _Split:
    """Split of one state of a study, with all parameters of each part."""

    study: optuna.Study
    state: tuple[int, int]
    parts: tuple[list[FrozenTrial], list[FrozenTrial]]
    told: dict[int, NDArray[np.float64]] = field(default_factory=dict)


@contextmanager
def tpe_once() -> Iterator[None]:
    """While it lasts every TPE sampler works so."""
    name = "_get_internal_repr"  # Replaced by name: its types are of one Optuna only.
    split, read = sampler._split_trials, getattr(TPESampler, name)
    last: _Split | None = None
    rows: dict[int, NDArray[np.float64]] = {}

    def split_once(study: optuna.Study, trials: list[FrozenTrial], n_below: int) -> Any:
        nonlocal last
        state = len(trials), n_below
        if last is None or last.study is not study:
            rows.clear()
        elif last.state == state:
            return last.parts
        last = _Split(study, state, split(study, trials, n_below))
        return last.parts

    def read_once(
        self: TPESampler, trials: list[FrozenTrial], space: dict[str, Any], study: optuna.Study
    ) -> dict[str, NDArray[np.float64]]:
        assert last is not None
        assert any(trials is part for part in last.parts)
        if id(trials) not in last.told:
            for one in trials:
                if one.number not in rows:
                    rows[one.number] = np.array(
                        [d.to_internal_repr(one.params[n]) for n, d in one.distributions.items()]
                    )
            told = [rows[one.number] for one in trials]
            last.told[id(trials)] = np.array(told).reshape(len(told), -1).T.copy()
        names = list(trials[0].distributions) if trials else []
        told_all = last.told[id(trials)]
        return {n: told_all[names.index(n)] if names else np.empty(0) for n in space}

    sampler._split_trials = split_once
    setattr(TPESampler, name, read_once)
    try:
        yield
    finally:
        sampler._split_trials = split
        setattr(TPESampler, name, read)
