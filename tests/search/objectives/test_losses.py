"""Losses: what shows one, units of amounts, the scale of an unbiased distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluate.image_set import ImageSet
from evaluate.metrics import METRICS
from evaluate.statistics.distances import cubic
from search.objectives.metric_set import MetricSet, full_name
from search.objectives.objectives import Objectives, parse_amount
from strategies import StrategyError


def test_what_shows_a_loss() -> None:
    def figures(*names: str, subject: str | None = None, view: Any = "self") -> MetricSet:
        return MetricSet.of(names, (), subject, view)

    assert figures("kid_base", "latency_s").lossless_metric == "kid_self"
    assert figures("clip_score", "latency_s").lossless_metric == "clip_score"
    assert figures("psnr", "latency_s").lossless_metric is None
    assert figures("lpips", "fid_base", "macs").lossless_metric == "fid_self"
    shapes = figures("fd_base", "latency_s", subject="shapes", view="real")
    assert shapes.lossless_metric == "fd_real"
    assert figures("macs", "latency_s").quality is None
    assert figures("kid_base", "latency_s").network == "inception"
    assert figures("lpips", "latency_s").network is None
    assert [full_name(n, None, "self") for n in ("fid", "clip-score", "precision", "memory")] == [
        "fid_self", "clip_score", "precision", "memory_bytes",
    ]  # fmt: skip
    with pytest.raises(StrategyError, match="unknown objective or constraint 'fd_base'"):
        figures("fd_base", "latency_s")


def test_amounts_have_units() -> None:
    assert parse_amount("max-memory", "8GiB") == 8 * 2**30
    assert parse_amount("max-memory_bytes", "1.5 GB") == 1.5e9
    assert parse_amount("max-latency", "300ms") == pytest.approx(0.3)
    assert parse_amount("max-fid-increase", "-0.5") == -0.5
    for flag, text in (("max-memory", "8GHz"), ("min-speedup", "2x"), ("max-latency", "")):
        with pytest.raises(StrategyError, match="give it a number"):
            parse_amount(flag, text)


def test_the_scale_of_an_unbiased_distance() -> None:
    """Two sets of one model are apart by what their biased estimate shows, not by nothing."""
    rng = np.random.default_rng(0)
    chance = METRICS["kid"].noise_floor
    assert chance is not None
    said, seen = [], []
    for _ in range(40):
        a, b = rng.normal(size=(2, 64, 16))
        said.append(chance(ImageSet("x", 64, known={"inception": a.astype(np.float32)})))
        seen.append(1000 * (cubic(a, a).mean() + cubic(b, b).mean() - 2 * cubic(a, b).mean()))
    found = float(np.mean(said))
    assert found == pytest.approx(float(np.mean(seen)), rel=0.1)
    base = {"kid_base": 0.0, "kid_self": -0.4, "latency_s": 2.0}
    objectives = Objectives.create(("kid_base", "latency_s"), {}, base, {"kid_self": found})
    assert objectives.reference_point == (found, 2.0)
    base = {"psnr": 99.0, "memory_bytes": 10.0}
    assert Objectives.create(("psnr", "memory_bytes"), {}, base).reference_point == (99.0, 20.0)
