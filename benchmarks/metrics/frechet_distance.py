"""Frechet distance beside clean-fid's, at the sizes that scoring has: how equal, how much faster.

    python -m benchmarks run distances

Random features with correlated dimensions, and the features that a random-weight Inception gives
random images; both functions take the features. Writes `benchmarks/results/distances.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from cleanfid.fid import fid_from_feats, kernel_distance

from benchmarks.entry import RESULTS
from evaluate import frechet_from_features, kid_from_features
from evaluate.networks.inception import port
from evaluate.statistics.bootstrap import paired_bootstrap
from evaluate.statistics.distances import frechet_statistic
from evaluate.statistics.gaussian import GaussianStatistics

SIZES = ((500, 500), (500, 2500), (2000, 2500))
D = 2048


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(D, D)) / np.sqrt(D)
    rows = []
    for n, m in SIZES:
        a, b = rng.normal(size=(n, D)) @ mix, rng.normal(0.1, 1.2, size=(m, D)) @ mix
        rows.append(compare(f"random, {n} and {m} x {D}", a, b))
    rows.append(compare("random-weight Inception, 200 and 200 images", *inception(200)))
    a, b = rng.normal(size=(500, D)) @ mix, rng.normal(0.1, 1.2, size=(2500, D)) @ mix
    took, _ = clock(
        lambda: paired_bootstrap(frechet_statistic(a, GaussianStatistics.of(b)), 500), 1
    )
    theirs, _ = clock(lambda: kernel_distance(a, b), 1)
    ours, _ = clock(lambda: kid_from_features(a, b), 3)
    document = {
        "device": f"cpu, {torch.get_num_threads()} thread",
        "numpy": np.__version__,
        "frechet": rows,
        "bootstrap_500_seconds": took,
        "kid_500_and_2500": {"clean_fid_seconds": theirs, "seconds": ours},
    }
    print(json.dumps(document, indent=2))
    target = RESULTS / "distances.json"
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def compare(name: str, a: Any, b: Any) -> dict[str, Any]:
    ours, mine = clock(lambda: frechet_from_features(a, b), 3)
    theirs, reference = clock(lambda: fid_from_feats(a, b), 1)
    return {
        "features": name,
        "clean_fid_seconds": theirs,
        "seconds": ours,
        "times_faster": theirs / ours,
        "relative_difference": abs(mine - reference) / reference,
    }


@torch.inference_mode()
def inception(count: int) -> tuple[Any, Any]:
    """Pooled features of two sets of smooth random images, as float64."""
    torch.manual_seed(0)
    network = port().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    network.fc = torch.nn.Identity()
    sets = []
    for shift in (0.0, 0.2):
        small = torch.rand(count, 3, 12, 12) * 2 - 1 + shift
        images = torch.nn.functional.interpolate(small, (139, 139), mode="bicubic")
        sets.append(torch.cat([network(part) for part in images.split(20)]).double().numpy())
    return sets[0], sets[1]


def clock(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds, and the result."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - began)
    return median(times), result


if __name__ == "__main__":
    main()
