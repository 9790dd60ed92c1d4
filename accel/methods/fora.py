"""FORA (Selvaraju et al., arXiv 2407.01425): attention and MLP outputs reused between calls.

What is kept is each component's output before its adaptive-norm gate, so gates, modulations and
residuals follow the current call (section 3.3). With order 1 or 2 the outputs are extrapolated over
the calls instead (the idea of TaylorSeer, arXiv 2503.06923). Where guidance is done as two passes,
each has outputs of its own.
"""

from __future__ import annotations

from accel.clock import Clock
from accel.patching import Undo, replace_forward, undo_all
from accel.records import Recorder
from accel.reuse import Reuse, reusing
from accel.sites import Sites
from strategies.methods.fora import FORA


def attach(sites: Sites, clock: Clock, knobs: FORA, recorder: Recorder) -> Undo:
    """Reuse along the lists of `knobs` until undone.

    Raises:
        StrategyError: the lists have more groups than the model has blocks.
    """
    blocks = 1 + max((part.block for part in sites.parts), default=0)
    undos: list[Undo] = []
    for part in sites.parts:
        computed = knobs.computed(part.kind, part.block, blocks)
        if not all(computed):
            place = Reuse(clock, recorder, computed.__getitem__, part.name, orders=knobs.order)
            undos.append(replace_forward(part.module, reusing(place)))
    return lambda: undo_all(undos)
