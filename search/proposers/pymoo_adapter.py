"""Selection and published operators by pymoo. The only file that imports it.

Survival follows Deb et al.: feasible rows come before infeasible ones. Infeasible rows are ordered
by how far they break the constraints. Feasible ones are ordered by non-dominated rank, then by
crowding (NSGA-II, 2002) or by niches of reference directions (NSGA-III, 2014). Evaluations on
different numbers of images are never compared: those on more come first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.study.history import History, Rows
from search.study.ranking import IncrementalRanking
from strategies.genomes.space import Genome

if TYPE_CHECKING:
    from pymoo.core.problem import Problem

# pymoo is imported where it is used, so that a run is read without it.
Directions = NDArray[np.float64]


def directions(objectives: int, population: int) -> Directions:
    """Das and Dennis' evenly spread reference directions, as many as the population has room."""
    from pymoo.util.ref_dirs import get_reference_directions

    parts = 1
    while math.comb(parts + objectives, objectives - 1) <= population:
        parts += 1
    found: Directions = get_reference_directions("das-dennis", objectives, n_partitions=parts)
    return found


def survival(
    history: History,
    rows: Rows,
    count: int,
    reference_directions: Directions | None,
    rng: np.random.Generator,
    ranking: IncrementalRanking | None = None,
) -> Any:
    """Up to `count` rows of one rung, as a pymoo population whose X is the row.

    Args:
        history: finished evaluations.
        rows: rows to choose from.
        count: number of rows to keep.
        reference_directions: reference directions of NSGA-III, or None for NSGA-II.
        rng: random number generator.
        ranking: ranking of the last call, to save time.
    """
    from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    rows = _narrow(history, rows, count, ranking or IncrementalRanking())
    losses, outside = history.objectives[rows], history.violations[rows]
    everyone = Population.new("X", rows[:, None], "F", losses)
    limited = bool((outside > 0).any())  # Where nothing is, pymoo need not look at each.
    if limited:
        everyone.set("G", outside[:, None])
    problem = Problem(n_var=1, n_obj=losses.shape[1], n_ieq_constr=int(limited))
    kind = (
        RankAndCrowdingSurvival()
        if reference_directions is None
        else ReferenceDirectionSurvival(reference_directions)
    )
    return kind.do(problem, everyone, n_survive=min(count, len(rows)), random_state=rng)


def _narrow(history: History, rows: Rows, count: int, ranking: IncrementalRanking) -> Rows:
    """The rows that can survive: the best fronts up to the one that is split, without the rest."""
    outside = history.violations[rows]
    feasible, broken = rows[outside <= 0], rows[outside > 0]
    if len(feasible) > count:
        return ranking.fronts(history, feasible, count).rows
    order = np.argsort(history.violations[broken], kind="stable")
    return np.concatenate([feasible, np.sort(broken[order[: count - len(feasible)]])])


def population(
    history: History,
    count: int,
    reference_directions: Directions | None,
    rng: np.random.Generator,
    ranking: dict[int, IncrementalRanking] | None = None,
) -> Any:
    """The best `count` evaluations, from the highest rung down, ranked across rungs.

    Args:
        history: finished evaluations.
        count: number of evaluations to keep.
        reference_directions: reference directions of NSGA-III, or None for NSGA-II.
        rng: random number generator.
        ranking: rankings of the last call by number of images, to save time.
    """
    from pymoo.core.population import Population

    found, offset = Population(), 0
    ranking = {} if ranking is None else ranking
    for rows in history.rungs():
        if len(found) < count:
            own = ranking.setdefault(int(history.images[rows[0]]), IncrementalRanking())
            best = survival(history, rows, count - len(found), reference_directions, rng, own)
            for one in best:
                rank = one.get("rank")
                one.set("rank", offset + (0 if rank is None else int(rank)))
            offset = 1 + max(one.get("rank") for one in best)
            found = Population.merge(found, best)
    return found


def tournament_pairs(
    parents: Any, reference_directions: Directions | None, rng: np.random.Generator, count: int = 1
) -> list[tuple[int, int]]:
    """Rows of two parents each, by binary tournament."""
    from pymoo.core.problem import Problem
    from pymoo.operators.selection.tournament import TournamentSelection

    selection = TournamentSelection(func_comp=partial(_judge, crowded=reference_directions is None))
    problem = Problem(n_var=1, n_obj=len(parents[0].F), n_ieq_constr=1)
    chosen = selection.do(problem, parents, count, n_parents=2, random_state=rng)
    return [(int(first.X[0]), int(second.X[0])) for first, second in chosen]


def _judge(
    parents: Any,
    duels: NDArray[np.intp],
    random_state: np.random.Generator,
    crowded: bool,
    **_: Any,
) -> NDArray[np.intp]:
    """Winners of tournaments, by constraints first.

    Between two feasible parents, NSGA-II decides by rank and crowding, and NSGA-III by chance.
    pymoo decides one duel after the other, which takes longer than the whole survival. Its NSGA-III
    takes no random number if two parents break the constraints alike.

    Args:
        parents: population of the parents.
        duels: rows of two parents each, `[n, 2]`.
        random_state: random number generator.
        crowded: whether the parents have ranks and crowding distances that count.
    """
    left, right = duels.T
    outside = parents.get("CV").astype(float).reshape(-1)
    ahead = np.sign(outside[right] - outside[left])
    if crowded:
        rank, crowding = (parents.get(n).astype(float) for n in ("rank", "crowding"))
        lonelier = np.greater(*crowding[[left, right]]).astype(int)
        lonelier -= np.less(*crowding[[left, right]])
        closer = np.sign(rank[right] - rank[left])
        among = np.where(closer == 0, lonelier, closer)
        ahead = np.where((outside[duels] <= 0).all(axis=1), among, ahead)
    winners: NDArray[np.intp] = np.where(ahead > 0, left, right)
    for tie in np.flatnonzero(ahead == 0):
        winners[tie] = random_state.choice(duels[tie])
    return winners.reshape(-1, 1)


def simulated_binary(
    sizes: Sequence[int],
    mother: Genome,
    father: Genome,
    rng: np.random.Generator,
    crossover: tuple[float, float],
    mutation: tuple[float, float],
) -> Genome:
    """A child by simulated binary crossover and polynomial mutation, rounded.

    Args:
        sizes: number of choices of each gene.
        mother, father: the parents.
        rng: random number generator.
        crossover, mutation: probability and eta of each.
    """
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair

    problem, pairs = _pairing(sizes, mother, father)
    repair = RoundingRepair()
    mate = SBX(prob=crossover[0], eta=crossover[1], vtype=float, repair=repair)
    change = PM(prob=mutation[0], eta=mutation[1], vtype=float, repair=repair)
    child = mate.do(problem, pairs, random_state=rng)[:1]
    return _genome(change.do(problem, child, random_state=rng))


def point_crossover(
    sizes: Sequence[int],
    mother: Genome,
    father: Genome,
    rng: np.random.Generator,
    points: int,
    probability: float,
) -> Genome:
    """A child by crossover at `points` points."""
    from pymoo.operators.crossover.pntx import PointCrossover

    problem, pairs = _pairing(sizes, mother, father)
    mate = PointCrossover(n_points=points, prob=probability)
    return _genome(mate.do(problem, pairs, random_state=rng))


def _pairing(sizes: Sequence[int], mother: Genome, father: Genome) -> tuple[Problem, Any]:
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    upper = np.array(sizes) - 1
    problem = Problem(n_var=len(sizes), n_obj=2, xl=0, xu=upper, vtype=int)
    both = Population.new("X", np.array([mother, father]))
    return problem, np.array([[both[0], both[1]]], dtype=object)


def _genome(children: Any) -> Genome:
    return tuple(int(value) for value in children[0].X)
