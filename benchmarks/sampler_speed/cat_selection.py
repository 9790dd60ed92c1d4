"""Cost of CAT Pruning's choice of tokens; its k-means compared with SciPy's and scikit-learn's.

    python -m benchmarks run selection

The size of Stable Diffusion 3 at 1024 x 1024: 4096 tokens of 64 channels, 20 clusters, alpha 0.3,
on smooth random maps and on white noise. Times are medians, of the process's own time on a CPU;
inertia is the sum of squared distances to the centres, lower is tighter, a median over seeds for
the libraries. scikit-learn (which goes on until nothing changes) only where it is installed. Writes
`results/selection-DEVICE.json`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn import functional

from accel.methods.cat import select
from accel.models.loading import default_device
from accel.tokens.clustering import ITERATIONS, cluster_scores, kmeans, one_hot, positions
from benchmarks.entry import RESULTS
from benchmarks.sampler_speed.timing import clock, wait

SIDE, WIDTH, CLUSTERS, ALPHA = 64, 64, 20, 0.3
GRID = (SIDE, SIDE)
Cluster = Callable[[Tensor, int], Tensor]


def changes(kind: str, device: str) -> Tensor:
    """Change of each token's prediction `[1, tokens, channels]`, of the size of 1."""
    draws = torch.Generator().manual_seed(0)
    side = 8 if kind == "smooth" else SIDE
    coarse = torch.randn(1, WIDTH, side, side, generator=draws)
    wide = functional.interpolate(coarse, size=GRID, mode="bicubic")
    return wide.flatten(2).transpose(1, 2).contiguous().to(device)


def timed(repeats: int, device: torch.device, run: Callable[[int], Any]) -> float:
    """Median seconds, after one that does not count."""
    seconds, found = clock(device), []
    for repeat in range(repeats + 1):
        wait(device)
        began = seconds()
        run(repeat)
        wait(device)
        found.append(seconds() - began)
    return median(found[1:])


def inertia(points: Tensor, member: Tensor) -> float:
    """Sum of squared distances to the means of the clusters."""
    one = one_hot(member, CLUSTERS)
    centres = one.transpose(1, 2) @ points / one.sum(1)[..., None].clamp(min=1)
    return float((points - one @ centres).square().sum())


def variants() -> dict[str, Cluster]:
    """Ours and the libraries', from points and a seed to the cluster of each."""

    def scipy(points: Tensor, seed: int) -> Tensor:
        data = points[0].cpu().numpy()
        with warnings.catch_warnings():  # Of clusters that lost all their points.
            warnings.simplefilter("ignore")
            _, member = kmeans2(data, CLUSTERS, iter=ITERATIONS, minit="++", rng=seed)
        return torch.as_tensor(member, device=points.device)[None].long()

    found: dict[str, Cluster] = {
        "ours": lambda points, seed: kmeans(points, GRID, CLUSTERS),
        "scipy.cluster.vq.kmeans2": scipy,
    }
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        return found

    def sklearn(points: Tensor, seed: int) -> Tensor:
        model = KMeans(n_clusters=CLUSTERS, random_state=seed, n_init=1)
        member = model.fit_predict(points[0].cpu().numpy())
        return torch.as_tensor(member, device=points.device)[None].long()

    return found | {"sklearn.cluster.KMeans": sklearn}


def versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "scipy", "scikit-learn"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def choice(change: Tensor, repeats: int) -> dict[str, float]:
    """Seconds of the parts of a choice, and of all that a later one needs."""
    placed = change + positions(GRID, WIDTH, change)
    cluster, magnitude = kmeans(placed, GRID, CLUSTERS), change.norm(dim=-1)
    count = int(ALPHA * change.shape[1])
    score = cluster_scores(placed, cluster, GRID, CLUSTERS)
    counts = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(1))
    counts = counts.to(change.device)
    parts: dict[str, Callable[[int], Any]] = {
        "k-means, once": lambda _: kmeans(placed, GRID, CLUSTERS),
        "positions": lambda _: change + positions(GRID, WIDTH, change),
        "pooled scores": lambda _: cluster_scores(placed, cluster, GRID, CLUSTERS),
        "ranks and choice": lambda _: select(magnitude, counts, cluster, score, count, False),
    }
    times = {name: timed(repeats, change.device, run) for name, run in parts.items()}
    later = sum(seconds for name, seconds in times.items() if name != "k-means, once")
    return times | {"a later choice": later, "the first choice": sum(times.values())}


def compared(change: Tensor, repeats: int) -> dict[str, Any]:
    """Time and inertia of every k-means, and the times of our choice."""
    points = change + positions(GRID, WIDTH, change)
    rows: dict[str, Any] = {}
    for name, run in variants().items():
        cluster = partial(run, points)
        rows[name] = {
            "seconds": timed(repeats, change.device, cluster),
            "inertia": median(inertia(points, cluster(seed)) for seed in range(repeats)),
        }
    return rows | {"choice": choice(change, repeats)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default=default_device())
    flags = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"settings": vars(flags).copy(), "versions": versions()}
    for kind in ("smooth", "white"):
        result[kind] = compared(changes(kind, flags.device), flags.repeats)
    kind = "gpu" if flags.device.startswith("cuda") else "cpu"
    target = RESULTS / f"selection-{kind}.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
