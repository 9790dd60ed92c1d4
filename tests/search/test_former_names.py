"""Former names of what plug-ins use of the sampler, of metrics and of proposers."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from accel.clock import CallListener, Clock
from accel.sites import Sites
from evaluate.evaluator import Evaluator
from evaluate.metrics import METRICS
from evaluate.metrics.shared.base import Metric
from search.proposers.random_search import RandomSearch


def former(old: str, new: str) -> Any:
    return pytest.warns(DeprecationWarning, match=rf"\.{old} is now \w+\.{new};")


def test_sites_are_made_and_read_under_former_names() -> None:
    given = dict.fromkeys(("mid",)) | dict.fromkeys(("down", "up", "attentions", "blocks"), ())
    with former("doubled", "scheduler_sees_guidance"):
        made: Any = Sites(nn.Linear(1, 1), **given, doubled=bool)  # type: ignore[arg-type, call-arg]
    assert made.scheduler_sees_guidance is bool
    with former("counted", "scheduler_counts_calls"):
        assert made.counted is False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("running", "active_rows"),
        ("per_image", "scheduler_rows_per_image"),
        ("partial", "runs_token_subset"),
        ("alone", "half_alone_at"),
    ],
)
def test_a_clock_is_read_and_set_under_former_names(old: str, new: str) -> None:
    clock: Any = Clock(4)
    with former(old, new):
        setattr(clock, old, 3)
    assert getattr(clock, new) == 3
    with former(old, new):
        assert getattr(clock, old) == 3
    with former("halves", "batched_guidance"):
        assert clock.halves is False


def test_a_listener_may_have_its_former_hook() -> None:
    heard: list[str] = []
    with former("fold", "merge_guidance"):

        class Listener(CallListener):
            def fold(self) -> None:
                heard.append("folded")

    clock = Clock(4)
    clock.listeners.append(Listener())
    clock.merge_guidance()
    assert heard == ["folded"]


def test_a_metric_may_name_its_noise_floor_as_before() -> None:
    one = METRICS["psnr"]
    with former("chance", "noise_floor"):
        made: Any = Metric(
            "x",
            "x",
            "higher",
            None,
            one.prepare,
            one.views,
            "",
            chance=len,  # type: ignore[call-arg]
        )
    assert made.noise_floor is len


def test_a_proposer_may_declare_and_read_former_names() -> None:
    with pytest.warns(DeprecationWarning, match="takes the new name alone") as said:

        class Own(RandomSearch):
            about = "one line"
            attempts = 3

    assert (Own.summary, Own.max_attempts) == ("one line", 3)
    assert [str(one.message).partition(" ")[0] for one in said] == ["Own.about", "Own.attempts"]
    with former("stream", "rng"):
        assert Own.stream is Own.rng


def test_an_evaluator_has_its_former_names() -> None:
    with former("draw", "generate"):
        assert Evaluator.draw is Evaluator.generate
    with former("baseline", "unaccelerated"):
        assert Evaluator.baseline is Evaluator.unaccelerated
