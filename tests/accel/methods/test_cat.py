"""CAT Pruning's choice of tokens against Algorithm 2 written out, and its clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor

import accel
from accel.methods.cat import ClusterAware, rank_within, ranks, select
from accel.registry import applied_strategy
from accel.tokens.clustering import (
    cluster_scores,
    grid_points,
    kmeans,
    nearest_centre,
    one_hot,
    positions,
)
from tests.support.pipelines.transformer_pipelines import MODELS, build, draw, strategy
from tests.support.pipelines.unet_pipelines import once

Array = NDArray[np.float64]


class Written:
    """Algorithm 2 for one image, with loops and sets, and the sizes of the published code."""

    def __init__(self, grid: tuple[int, int], clusters: int, decay: float, position: bool) -> None:
        self.grid, self.clusters, self.decay, self.position = grid, clusters, decay, position
        self.label: list[int] | None = None
        self.count = [0.0] * (grid[0] * grid[1])

    def places(self, width: int) -> Array:
        """Equation 3."""
        height, across = self.grid
        table = np.zeros((height * across, width))
        for i in range(height):
            for j in range(across):
                for k in range(1, width + 1):
                    table[i * across + j, k - 1] = i / height if k <= width // 2 else j / across
        return table

    def scores(self, features: Array) -> dict[int, float]:
        """The length of what one graph layer makes of each cluster's channelwise maximum."""
        assert self.label is not None
        members: dict[int, list[int]] = {}
        for token, owner in enumerate(self.label):
            members.setdefault(owner, []).append(token)
        highest = {c: features[tokens].max(axis=0) for c, tokens in members.items()}
        touching = {c: {c} for c in members}
        height, width = self.grid
        for i in range(height):
            for j in range(width):
                for k, m in ((i + 1, j), (i, j + 1)):
                    if k < height and m < width:
                        one, other = self.label[i * width + j], self.label[k * width + m]
                        touching[one].add(other)
                        touching[other].add(one)
        found = {}
        for c, around in touching.items():
            near = np.array([highest[other] for other in sorted(around)])
            value = near.mean(axis=0) + near.mean(axis=0) + near.max(axis=0)
            found[c] = float(np.linalg.norm(value))
        return found

    def select(self, change: Array, wanted: int) -> set[int]:
        assert self.label is not None
        first = not any(self.count)
        features = change + self.places(change.shape[1])
        score = self.scores(features if self.position else change)
        size = [float(np.linalg.norm(row)) for row in change]
        strongest = sorted(range(len(size)), key=lambda t: (-size[t], t))
        stalest = sorted(strongest, key=lambda t: self.count[t])
        budget = wanted if first else max(1, wanted * 25 // 100)
        chosen: set[int] = set()
        for rank, cluster in enumerate(sorted(score, key=lambda c: (-score[c], c))):
            if first:
                by_size, by_age = max(1, wanted * 10 // 100), 0
            else:
                unit = max(1, budget // 5)
                share = unit * {0: 3, 1: 2}.get(rank, 1)
                by_age = 0 if rank == 0 else share // 2
                by_size = share - by_age
            mine = {t for t, owner in enumerate(self.label) if owner == cluster}
            quota = [t for t in strongest if t in mine][:by_size]
            quota += [t for t in stalest if t in mine][:by_age]
            for token in quota:
                if len(chosen) < budget:
                    chosen.add(token)
        for token in stalest:
            if len(chosen) < wanted:
                chosen.add(token)
        self.tick(chosen)
        return chosen

    def tick(self, ran: set[int]) -> None:
        """Equation 2."""
        self.count = [self.decay * f + (t in ran) for t, f in enumerate(self.count)]


KNOBS: list[dict[str, Any]] = [
    {"clusters": 5},
    {"clusters": 20, "position_in_score": False},
    {"clusters": 3, "decay": 0.9},
    {"clusters": 64, "start": 4, "decay": 0.0},
]


@pytest.mark.parametrize(("model", "knobs"), once(MODELS, KNOBS))
def test_selections_are_those_of_algorithm_2(model: str, knobs: dict[str, Any]) -> None:
    """At every call of a generation, for two images, from the predictions that were made."""
    pipe, calls = build(model).to(dtype=torch.float64), 10
    alpha = [1.0, 1.0, 0.3, 0.5, 0.3, 0.3, 1.0, 0.25, 0.8, 0.1]
    accel.apply(pipe, strategy(model, {"cat": {"alpha": alpha, **knobs}}, calls))
    run = next(
        one for one in applied_strategy(pipe)._clock.listeners if isinstance(one, ClusterAware)
    )
    noises: list[Tensor] = []
    chosen: dict[int, Tensor] = {}
    labels: list[Tensor] = []
    inner = run.choose

    def choose(noise: Tensor, count: int) -> Tensor | None:
        noises.append(noise.clone())
        found = inner(noise, count)
        if found is not None:
            chosen[run.clock.call] = found
            assert run._cluster is not None
            labels.append(run._cluster)
        return found

    run.choose = choose  # type: ignore[method-assign]
    draw(pipe, calls, batch=2)
    start = knobs.get("start", 2)
    partial = [c for c in range(start, calls) if alpha[c] < 1]
    assert sorted(chosen) == partial
    assert all(torch.equal(one, labels[0]) for one in labels)
    for image in range(2):
        decay, position = knobs.get("decay", 0.5), knobs.get("position_in_score", True)
        written = Written((8, 8), knobs["clusters"], decay, position)
        written.label = labels[0][image].tolist()
        reference = noises[0][image].numpy()  # Two calls before the first partial one.
        for offset, noise in enumerate(noises[1:], start=start):
            if offset in chosen:
                wanted = int(alpha[offset] * 64)
                found = written.select(noise[image].numpy() - reference, wanted)
                assert set(chosen[offset][image].tolist()) == found, (offset, image)
                assert len(found) == wanted
            else:
                written.tick(set(range(64)))


def test_predictions_are_the_noise_alone() -> None:
    """Of DiT and PixArt, half of whose output is a variance, in the order of the patches."""
    pipe = build("dit")
    accel.apply(pipe, strategy("dit", {"cat": {"alpha": 0.5}}))
    run = next(
        one for one in applied_strategy(pipe)._clock.listeners if isinstance(one, ClusterAware)
    )
    noises: list[Tensor] = []
    outputs: list[Tensor] = []
    inner = run.choose
    run.choose = lambda noise, count: (noises.append(noise), inner(noise, count))[1]  # type: ignore[method-assign, func-returns-value]
    pipe.transformer.register_forward_hook(
        lambda *a: outputs.append(a[2][0] if isinstance(a[2], tuple) else a[2].sample)
    )
    draw(pipe)
    noise = outputs[0][:1, :4]  # The conditional half comes first.
    for token, (i, j) in enumerate((i, j) for i in range(8) for j in range(8)):
        patch = noise[0, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        assert torch.equal(noises[0][0, token].sort().values, patch.flatten().sort().values)


def smooth(seed: int, grid: tuple[int, int], width: int) -> Tensor:
    """A change of prediction as images have it: smooth, of different strength in places."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, width, 5, 5, generator=random)
    large = torch.nn.functional.interpolate(coarse, grid, mode="bicubic")
    rough = 0.1 * torch.randn(1, width, *grid, generator=random)
    return (0.2 * (large + rough)).flatten(2).transpose(1, 2)


def inertia(points: Array, label: NDArray[Any]) -> float:
    return sum(
        float(((points[label == c] - points[label == c].mean(axis=0)) ** 2).sum())
        for c in set(label.tolist())
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("grid", "clusters"), [((32, 32), 20), ((24, 40), 12), ((16, 16), 5)])
def test_kmeans_is_as_good_as_several_starts(
    grid: tuple[int, int], clusters: int, seed: int
) -> None:
    change = smooth(seed, grid, 16)
    points = change + positions(grid, 16, change)
    label = kmeans(points, grid, clusters)
    assert torch.equal(kmeans(points.clone(), grid, clusters), label)
    both = torch.cat([points, 3 * points.flip(1)])
    assert torch.equal(kmeans(both, grid, clusters)[:1], label)
    plain = points[0].double().numpy()
    best = math.inf
    for start in range(4):
        _, theirs = kmeans2(plain, clusters, iter=50, minit="++", seed=start)
        best = min(best, inertia(plain, theirs))
    assert inertia(plain, label[0].numpy()) < 1.1 * best


def test_kmeans_separates_what_is_apart() -> None:
    grid, own = (6, 6), torch.arange(36) % 6 // 3  # The left and the right half.
    points = torch.randn(1, 36, 4) * 0.01 + 10.0 * own[None, :, None]
    label = kmeans(points, grid, 2)[0]
    assert len(set(label[own == 0].tolist())) == len(set(label[own == 1].tolist())) == 1
    assert label[0] != label[-1]


def test_a_cluster_without_tokens_comes_last() -> None:
    label = torch.tensor([[0, 0, 2, 2]])
    score = cluster_scores(torch.ones(1, 4, 3), label, (2, 2), 4)
    assert (score[0, [1, 3]] == -1).all()
    assert (score[0, [0, 2]] > 0).all()


@given(st.integers(1, 20), st.integers(1, 20), st.data())
def test_spread_gives_different_tokens(rows: int, columns: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, rows * columns))
    places = grid_points((rows, columns), count)
    assert len(set(places)) == len(places) == count
    assert all(0 <= place < rows * columns for place in places)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=20))
def test_ranks(tokens: list[tuple[int, int]]) -> None:
    keys = torch.tensor([[float(key) for key, _ in tokens]])
    owner = torch.tensor([[owner for _, owner in tokens]])
    everyone = [
        sum((k, i) < (key, at) for i, (k, _) in enumerate(tokens))
        for at, (key, _) in enumerate(tokens)
    ]
    inside = [
        sum((k, i) < (key, at) and o == own for i, (k, o) in enumerate(tokens))
        for at, (key, own) in enumerate(tokens)
    ]
    assert ranks(keys)[0].tolist() == everyone
    assert rank_within(keys, owner, 5)[0].tolist() == inside


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_select(data: st.DataObject) -> None:
    """As many as asked for, in order, none twice; each image as if alone; every token in turn."""
    images, total = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 30))
    clusters = data.draw(st.integers(1, min(6, total)))
    count, seed = data.draw(st.integers(1, total)), data.draw(st.integers(0, 99))
    random = torch.Generator().manual_seed(seed)
    few = data.draw(st.sampled_from([1, 2, 1000]))  # With and without ties.
    magnitude = torch.randint(few, (images, total), generator=random).float()
    counts = torch.zeros(images, total)
    cluster = torch.randint(clusters, (images, total), generator=random)
    score = torch.randint(few, (images, clusters), generator=random).float()
    waited = torch.zeros(images, total)
    part = max(1, count * 25 // 100)
    for turn in range(6):
        chosen = select(magnitude, counts, cluster, score, count, turn == 0)
        assert chosen.shape == (images, count)
        assert (chosen.diff(dim=1) > 0).all()
        alone = select(magnitude[:1], counts[:1], cluster[:1], score[:1], count, turn == 0)
        assert torch.equal(alone, chosen[:1])
        ran = torch.zeros(images, total).scatter(1, chosen, 1.0)
        counts = 0.5 * counts + ran
        waited = torch.where(ran > 0, 0, waited + 1)
        if count > part:
            assert waited.max() <= math.ceil(total / (count - part))


def test_nearest_takes_the_first_of_equals() -> None:
    centres = torch.tensor([[[1.0], [1.0], [3.0]]])
    assert nearest_centre(torch.tensor([[[1.0], [2.0], [9.0]]]), centres).tolist() == [[0, 0, 2]]
    assert one_hot(torch.tensor([[2, 0]]), 3).tolist() == [[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
