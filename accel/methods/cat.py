"""CAT Pruning (Cheng et al., "Cluster-Aware Token Pruning", arXiv 2502.00433, Algorithms 1 and 2).

Two calls before the first partial one, the prediction is kept as the reference. One call later the
tokens are clustered by the change of their prediction since then and by their positions, and the
first selection is made. Every later selection uses these clusters. `accel.tokens.partial_forward`
carries out partial calls.

Sizes that the paper leaves open are those of the published code. The first selection takes a tenth
of its tokens from each of the highest clusters. Later ones take a quarter from clusters, in units
of a fifth of that quarter (three from the first, two from the second, one from each other), and
three quarters from the stalest tokens. Half of a cluster's share goes by magnitude and half by
staleness, except for the highest cluster ("distributional balance", section 2.4).

Differences to the published code: every selection has exactly the requested size, and overlaps are
filled up with the stalest tokens. Each image of a batch chooses for itself. Any size and guidance
works. Equal scores are decided by the token's position.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accel.call_records import Recorder
from accel.clock import Clock
from accel.patching.replacing import Undo
from accel.sites import Sites
from accel.token_selection import at_least_float32
from accel.tokens.clustering import cluster_scores, kmeans, one_hot, positions
from accel.tokens.partial_forward import PartialForward
from strategies.methods.cat import CAT

# Shares in per cent of what is selected, and weights of the highest clusters.
FIRST_SHARE, CLUSTER_SHARE, CLUSTER_UNITS, TOP = 10, 25, 5, (3, 2)


def attach(sites: Sites, clock: Clock, knobs: CAT, recorder: Recorder) -> Undo:
    """Select tokens until undone.

    Raises:
        StrategyError: the model is no transformer of a supported family.
    """
    return ClusterAware(sites, clock, knobs, recorder).attach()


class ClusterAware(PartialForward):
    """Algorithm 2, for every image of the batch."""

    lead: ClassVar[int] = 2

    def __init__(self, sites: Sites, clock: Clock, knobs: CAT, recorder: Recorder) -> None:
        self.knobs = knobs
        super().__init__(sites, clock, knobs.shares(), recorder, "cat")
        self.forget()

    def forget(self) -> None:
        self._reference: Tensor | None = None
        self._cluster: Tensor | None = None
        self._counts: Tensor | None = None

    def choose(self, noise: Tensor, count: int) -> Tensor | None:
        noise = at_least_float32(noise.detach())
        if self._reference is None:
            self._reference = noise
            return None
        if count == self.total:
            if self._counts is not None:
                self._counts = self.knobs.decay * self._counts + 1
            return None
        change = noise - self._reference
        clusters = min(self.knobs.clusters, self.total)
        placed = change + positions(self.grid, change.shape[-1], change)
        first = self._cluster is None
        if self._cluster is None:
            self._cluster = kmeans(placed, self.grid, clusters)
        ranked = placed if self.knobs.position_in_score else change
        score = cluster_scores(ranked, self._cluster, self.grid, clusters)
        magnitude = change.norm(dim=-1)
        counts = torch.zeros_like(magnitude) if self._counts is None else self._counts
        chosen = select(magnitude, counts, self._cluster, score, count, first)
        ran = torch.zeros_like(counts).scatter(1, chosen, 1.0)
        self._counts = self.knobs.decay * counts + ran
        return chosen


def select(
    magnitude: Tensor, counts: Tensor, cluster: Tensor, score: Tensor, count: int, first: bool
) -> Tensor:
    """Select the tokens to run, `[images, count]`, ascending.

    Args:
        magnitude: size of the change of each token's prediction `[images, tokens]`.
        counts: number of times that each token ran, equation 2, `[images, tokens]`.
        cluster: cluster of each token `[images, tokens]`.
        score: score of each cluster `[images, clusters]`.
        count: number of tokens to select.
        first: whether this is the first selection of a generation.
    """
    total, clusters = magnitude.shape[1], score.shape[1]
    by_size, by_magnitude, by_age = quotas(count, clusters, first, score.device)
    place = ranks(-score).gather(1, cluster)  # Rank of each token's cluster.
    strong = rank_within(-magnitude, cluster, clusters)
    age = ages(counts, magnitude)
    old = rank_within(age, cluster, clusters)
    wide = by_magnitude[place]
    fits = (strong < wide) | (old < by_age[place])
    # Cluster after cluster, the strong before the old, until the clusters' part is full.
    within = torch.where(strong < wide, strong, wide + old)
    turn = ranks(torch.where(fits, place * (2 * total) + within, 2 * total * clusters + age))
    taken = fits & (turn < by_size)
    final = torch.where(taken, age - total, age)
    return final.argsort(dim=1, stable=True)[:, :count].sort(dim=1).values


def quotas(
    count: int, clusters: int, first: bool, device: torch.device
) -> tuple[int, Tensor, Tensor]:
    """Numbers of tokens to select: from clusters in all, and from each rank of cluster by magnitude
    and by staleness.
    """
    if first:
        share = torch.full((clusters,), max(1, count * FIRST_SHARE // 100), device=device)
        return count, share, torch.zeros_like(share)
    part = max(1, count * CLUSTER_SHARE // 100)
    unit = max(1, part // CLUSTER_UNITS)
    places = torch.arange(clusters, device=device)
    share = torch.full_like(places, unit)
    for rank, weight in enumerate(TOP):
        share = torch.where(places == rank, unit * weight, share)
    half = torch.where(places == 0, torch.zeros_like(share), share // 2)
    return part, share - half, half


def ranks(keys: Tensor) -> Tensor:
    """Rank of each entry of `[images, n]`: the number of entries that are smaller, or equal and
    before it.
    """
    order = keys.argsort(dim=1, stable=True)
    place = torch.arange(keys.shape[1], device=keys.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, place)


def rank_within(keys: Tensor, cluster: Tensor, clusters: int) -> Tensor:
    """Rank of each token among the tokens of its cluster."""
    order = keys.argsort(dim=1, stable=True)
    owner = cluster.gather(1, order)
    before = one_hot(owner, clusters).cumsum(1).gather(-1, owner[..., None])[..., 0] - 1
    return torch.empty_like(order).scatter_(1, order, before.long())


def ages(counts: Tensor, magnitude: Tensor) -> Tensor:
    """Rank of each token by staleness, 0 for the stalest; among equals the larger change comes
    first.
    """
    strong = magnitude.argsort(dim=1, descending=True, stable=True)
    order = strong.gather(1, counts.gather(1, strong).argsort(dim=1, stable=True))
    place = torch.arange(counts.shape[1], device=counts.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, place)
