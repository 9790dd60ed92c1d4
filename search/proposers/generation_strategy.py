"""Choice of the next proposal: a pure function of the study, the seed and the proposal's number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property

from search.initial import design as start
from search.initial.design import InitialStrategy
from search.initial.joint import JOINT
from search.proposers import PROPOSERS, NotReadyError, Proposer, ProposerSettings
from search.proposers import successive_halving as rungs
from search.proposers.proposal import Proposal
from search.study.evaluation import Evaluation, is_baseline
from search.study.history import History
from search.surrogate.surrogate import MIN_EVALUATIONS, FittedSurrogate, Surrogate
from strategies import SearchSpace, Strategy, StrategyError
from strategies.genomes.members import members
from strategies.genomes.space import Genome

UNIFORM_TRIES = 100  # Genomes sampled uniformly before the space counts as exhausted.


class GenerationStrategy:
    """Choice of proposals: initial strategies first, then those of the search's proposer.

    If the proposer mixes, later proposals come from both. A trusted surrogate chooses between them;
    without one they alternate.

    Args:
        space: space of the search.
        initial: initial strategies with their origins; once latencies are known, in the order of
            their proposals.
        kind: a name in `search.proposers.PROPOSERS`.
        population: number of parents, if the proposer has no published number of its own.
        seed: seed of all random numbers.
        ladder: numbers of images of the rungs, ascending.

    Attributes:
        first: number of proposals before children are bred at every other one, or chosen by a
            surrogate.
    """

    def __init__(
        self,
        space: SearchSpace,
        initial: Sequence[InitialStrategy],
        kind: str,
        population: int,
        seed: int,
        ladder: Sequence[int] = (0,),
    ) -> None:
        self.space, self.known = space, list(initial)
        self.initial = self.known
        self.kind, self.population, self.seed = kind, population, seed
        self.ladder = tuple(ladder)
        self.first = MIN_EVALUATIONS  # Where no plan says otherwise.
        self._history = History()
        self._promotions = rungs.Promotions(self.ladder)
        self._joint: set[str] = set()  # Digests of initial strategies that are promoted at once.
        self._proposer: Proposer | None = None
        self._latency: Callable[[Strategy], float] = _unknown
        self._surrogate: Surrogate | None = None
        self._reference: Callable[[], Sequence[float]] = tuple

    def set_measurements(
        self,
        latency: Callable[[Strategy], float],
        more: Sequence[InitialStrategy] = (),
        surrogate: Surrogate | None = None,
        reference: Callable[[], Sequence[float]] = tuple,
    ) -> None:
        """Take in what was measured before the first proposal; it decides the order of `initial`.

        Args:
            latency: seconds of a strategy.
            more: further initial strategies.
            surrogate: model that chooses children, if the proposer allows it.
            reference: returns the reference point, which measurements may move.
        """
        known = [*self.known, *more]
        if self.space.methods:
            known = start.worthwhile(self.space, known, latency)
        known = start.space_filling_order(known, latency)
        count = self.population if PROPOSERS[self.kind].uses_surrogate else 0
        drawn = start.random_strategies(self.space, count, self.seed)
        self.initial = start.interleave(known, drawn)
        self._joint = {one.digest for origin, one in self.initial if origin == JOINT}
        self._latency, self._surrogate, self._proposer = latency, surrogate, None
        self._reference = reference

    def first_strategies(self) -> list[Strategy]:
        """Strategies that are proposed first, before latencies decide their order.

        They are the initial strategies, and the random ones that alternate with them.
        """
        count = self.population if PROPOSERS[self.kind].uses_surrogate else 0
        drawn = start.random_strategies(self.space, count, self.seed)
        return [*(one for _, one in self.known), *drawn]

    @property
    def surrogate(self) -> str:
        """State of the surrogate in words; empty if there is none."""
        return "" if self._surrogate is None else self._surrogate.words

    @property
    def proposer(self) -> Proposer:
        """Proposer that follows the initial strategies."""
        if self._proposer is None:
            settings = ProposerSettings(
                self.space,
                self.population,
                self.seed,
                len(self.initial),
                self._latency,
            )
            self._proposer = PROPOSERS[self.kind](settings)
        return self._proposer

    def propose(
        self, number: int, finished: Sequence[Evaluation], taken: Collection[str]
    ) -> Proposal | None:
        """Proposal `number`.

        Args:
            number: number of the proposal.
            finished: evaluations in the order in which they finished; those of the last call, and
                more.
            taken: marks of all proposals so far; none is made again.

        Returns:
            The proposal, or None if nothing new is found: the space is exhausted.

        Raises:
            Waiting: another evaluation has to finish first.
        """
        history = self._history.read(finished)
        model = self._model(number, history)
        initial = None if model is not None else self._next_initial(number, taken)
        found = None
        if initial is None or self.proposer.uses_surrogate:
            found = self._promotions.at_once(history, taken, self._joint)
            found = found or self._promotions.next(history, taken)
        if found is not None:
            row, images = found
            best = history.good[row]
            return Proposal(number, best.origin, best.genome, best.strategy, images, best.images)
        if initial is not None:
            origin, strategy = initial
            return Proposal(number, origin, self.space.encode(strategy), strategy, self.ladder[0])
        if model is not None:
            chosen = self._choose_by_surrogate(number, history, model, taken)
            if chosen is not None:
                return chosen
        for attempt in range(self.proposer.max_attempts + UNIFORM_TRIES):
            if attempt < self.proposer.max_attempts:
                genome = self.proposer.genome(number, attempt, history)
            else:
                genome = self.proposer.random_genome(self.proposer.rng(number, attempt))
            strategy = self.space.decode(genome)
            if strategy.digest not in taken:
                return Proposal(number, self.kind, genome, strategy, self.ladder[0])
        return self._left(number, taken)

    @cached_property
    def members(self) -> list[tuple[Genome, Strategy]] | None:
        """All strategies of a small space; None if there are too many to list."""
        return members(self.space)

    def left_out(self, evaluated: Collection[str]) -> int:
        """Number of strategies of a small space that were not evaluated; 0 for a large space.

        Args:
            evaluated: digests of those that were, and of the unaccelerated one.
        """
        return sum(one.digest not in evaluated for _, one in self.members or ())

    def _left(self, number: int, taken: Collection[str]) -> Proposal | None:
        """The first strategy of a small space that was not proposed yet."""
        for genome, strategy in self.members or ():
            if strategy.digest not in taken:
                return Proposal(number, self.kind, genome, strategy, self.ladder[0])
        return None

    def initial_count(self, count: int) -> int:
        """Number of initial strategies among the first `count` proposals, promotions apart."""
        if self.proposer.uses_surrogate and count > self.first:
            count = self.first + (count - self.first + 1) // 2
        return min(len(self.initial), count)

    def promising_baselines(
        self, finished: Sequence[Evaluation]
    ) -> list[tuple[str, Strategy, tuple[float, ...]]]:
        """Baselines that are not scored on the top rung, with the objectives expected there.

        The surrogate expects them; without a trusted one there are none. A baseline that failed,
        broke a limit on a lower rung, or breaks one by the tables is left out.
        """
        model = self._model(len(finished), self._history.read(finished))
        if model is None or self._surrogate is None:
            return []
        top = self.ladder[-1]
        done = {e.strategy.digest for e in finished if e.images == top or not e.feasible}
        left = [
            (origin, one)
            for origin, one in self.initial
            if is_baseline(origin, one)
            and one.digest not in done
            and self._surrogate.violation(one) <= 0
        ]
        if not left:
            return []
        expected = self._surrogate.outcomes(model, [one for _, one in left], self.ladder[-1])
        rows = expected.mean(0).tolist()
        return [(*pair, tuple(row)) for pair, row in zip(left, rows, strict=True)]

    def _next_initial(self, number: int, taken: Collection[str]) -> InitialStrategy | None:
        """Next initial strategy, if it is the turn of one."""
        if not self.proposer.uses_surrogate:
            return self.initial[number] if number < len(self.initial) else None
        if number >= self.first and number % 2:
            return None
        return next((pair for pair in self.initial if pair[1].digest not in taken), None)

    def _model(self, number: int, history: History) -> FittedSurrogate | None:
        """Model that chooses proposals; None before `first`, or if it is not trusted."""
        if self._surrogate is None or not self.proposer.uses_surrogate or number < self.first:
            return None
        model = self._surrogate.fitted(history)
        return model if model is not None and model.trusted else None

    def _choose_by_surrogate(
        self, number: int, history: History, model: FittedSurrogate, taken: Collection[str]
    ) -> Proposal | None:
        """Strategy that may add most to the front, of the initial ones left and a pool of children.

        None if all of them were proposed before.
        """
        assert self._surrogate is not None
        initial = [(o, one) for o, one in self.initial if one.digest not in taken]
        genomes = self.proposer.pool(number, history)
        children = [self.space.decode(genome) for genome in genomes]
        everyone = [*((self.kind, one) for one in children), *initial]
        left, images = [one for _, one in initial], self.ladder[-1]
        worst = tuple(self._reference())
        order = self._surrogate.rank_by_improvement(model, history, children, worst, images, left)
        for index in order:
            origin, strategy = everyone[index]
            if strategy.digest not in taken:
                own = index < len(genomes)
                genome = genomes[index] if own else self.space.encode(strategy)
                return Proposal(number, origin, genome, strategy, self.ladder[0])
        return None


def _unknown(strategy: Strategy) -> float:
    raise StrategyError("latency is not measured yet; prepare the engine first")


__all__ = ["NotReadyError", "Proposal", "Proposer"]
