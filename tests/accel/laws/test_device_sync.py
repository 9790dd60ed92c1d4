"""What a GPU would feel, counted on any device: live memory, operations that wait for results."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest

import accel
from evaluate.speed.peak_memory import LiveTensorBytes
from tests.support.pipelines.law_cases import laws
from tests.support.pipelines.method_cases import ALL
from tests.support.pipelines.unet_pipelines import MODELS, build, draw, once, strategy

# Operations whose result the host needs before it can go on.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "is_nonzero"}


class Watch(LiveTensorBytes):
    """Counts operations, too."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, *given: Any) -> Any:
        self.operations[function.overloadpacket.__name__] += 1
        return super().__torch_dispatch__(function, *given)


def watched(pipe: Any, methods: dict[str, Any]) -> Watch:
    with accel.accelerated(pipe, strategy(methods)):
        draw(pipe)
        with Watch() as watch:
            draw(pipe)
    return watch


WAITS = {"catome", "paradigms"}


@pytest.mark.parametrize("name", [one for one in laws(1) if not WAITS & {*ALL[str(one.values[0])]}])
def test_nothing_waits_that_the_unmodified_pipeline_does_not(name: str) -> None:
    """CA-ToMe looks at its counts at every checkpoint, and ParaDiGMS at its errors."""
    found, plain = watched(build("sd1"), ALL[name]).operations, unaccelerated()
    assert plain["convolution"] > 0
    assert {n: found[n] - plain[n] for n in WAITING if found[n] > plain[n]} == {}


@functools.cache
def unaccelerated() -> Counter[str]:
    """Operations of the unmodified pipeline."""
    pipe = build("sd1")
    with Watch() as plain:
        draw(pipe)
    return plain.operations


@pytest.mark.parametrize(("model", "depth"), once(MODELS, [1, 3]))
def test_deepcache_holds_one_feature(model: str, depth: int) -> None:
    """The peak above an unmodified generation's is at most 1.1 times the cached feature."""
    pipe = build(model)
    sizes: list[int] = []
    plain = watched(pipe, {})
    methods = {"deepcache": {"depth": ["full", depth, depth, "full", depth, depth]}}
    accel.apply(pipe, strategy(methods))
    (features,) = [
        one
        for one in accel.registry.applied_strategy(pipe)._clock.listeners
        if type(one).__name__ == "DeepFeatures"
    ]

    def look(*_: Any) -> dict[str, Any]:
        sizes.extend(h[0][1].untyped_storage().nbytes() for h in features.kept.values())
        return {}

    draw(pipe, callback_on_step_end=look)
    assert len(set(sizes)) == 1
    assert watched(pipe, methods).peak - plain.peak <= 1.1 * sizes[0]
