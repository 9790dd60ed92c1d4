"""What to evaluate next: a pure function of the study, the seed and the proposal's number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from search.initial import design as start
from search.proposers import SOURCES, Settings, Source, Waiting
from search.proposers import successive_halving as rungs
from search.proposers.proposal import Proposal
from search.study.evaluation import Evaluation, is_baseline
from search.study.history import History
from search.surrogate.surrogate import Fitted, Surrogate
from strategies import SearchSpace, Strategy, StrategyError

FIRST = 30  # Proposals before children are bred, where no plan says otherwise.
DRAWS = 100  # Genomes drawn evenly before the space counts as exhausted.


class Proposer:
    """Seeds first, then the search proper. Where the source mixes, both after a while: by what a
    surrogate expects of them, or by turns where none is trusted.

    Args:
        space: of the search.
        seeds: origin and strategy; once latencies are known, in the order of their proposals.
        kind: a name in `search.proposers.SOURCES`.
        population: parents, where the source has no published number of its own.
        seed: of every random draw.
        ladder: numbers of images of the rungs, ascending.

    Attributes:
        first: proposals before children are bred at every other one, or screened.
    """

    def __init__(
        self,
        space: SearchSpace,
        seeds: Sequence[tuple[str, Strategy]],
        kind: str,
        population: int,
        seed: int,
        ladder: Sequence[int] = (0,),
    ) -> None:
        self.space, self.known = space, list(seeds)
        self.seeds = self.known
        self.kind, self.population, self.seed = kind, population, seed
        self.ladder = tuple(ladder)
        self.first = FIRST
        self._history = History()
        self._promotions = rungs.Promotions(self.ladder)
        self._source: Source | None = None
        self._latency: Callable[[Strategy], float] = _unknown
        self._surrogate: Surrogate | None = None
        self._reference: Callable[[], Sequence[float]] = tuple

    def learn(
        self,
        latency: Callable[[Strategy], float],
        more: Sequence[tuple[str, Strategy]] = (),
        surrogate: Surrogate | None = None,
        reference: Callable[[], Sequence[float]] = tuple,
    ) -> None:
        """Take what was measured before the first proposal; it decides the order of `seeds`.

        Args:
            latency: seconds of a strategy.
            more: further seeds.
            surrogate: to choose children by, where the source does.
            reference: gives the worst point that counts; what is measured may move it.
        """
        known = [*self.known, *more]
        if self.space.methods:
            known = start.worthwhile(self.space, known, latency)
        known = start.spread(known, latency)
        count = self.population if SOURCES[self.kind].mixed else 0
        self.seeds = start.mixed(known, start.drawn(self.space, count, self.seed))
        self._latency, self._surrogate, self._source = latency, surrogate, None
        self._reference = reference

    @property
    def surrogate(self) -> str:
        """The state of the surrogate in words; empty where there is none."""
        return "" if self._surrogate is None else self._surrogate.words

    @property
    def source(self) -> Source:
        """What proposes when the seeds are used up."""
        if self._source is None:
            settings = Settings(
                self.space,
                self.population,
                self.seed,
                len(self.seeds),
                self._latency,
            )
            self._source = SOURCES[self.kind](settings)
        return self._source

    def propose(
        self, number: int, finished: Sequence[Evaluation], taken: Collection[str]
    ) -> Proposal | None:
        """Proposal `number`.

        Args:
            finished: evaluations in the order they finished; each time those of the last time, and
                more.
            taken: marks of every proposal that was ever made; none is made again.

        Returns:
            None where nothing new is found: the space is exhausted.

        Raises:
            Waiting: not before another evaluation has finished.
        """
        history = self._history.read(finished)
        model = self._model(number, history)
        seed = None if model is not None else self._seed(number, taken)
        found = None
        if seed is None or self.source.mixed:
            found = self._promotions.next(history, taken)
        if found is not None:
            row, images = found
            best = history.good[row]
            return Proposal(number, best.origin, best.genome, best.strategy, images, best.images)
        if seed is not None:
            origin, strategy = seed
            return Proposal(number, origin, self.space.encode(strategy), strategy, self.ladder[0])
        if model is not None:
            chosen = self._screened(number, history, model, taken)
            if chosen is not None:
                return chosen
        for attempt in range(self.source.attempts + DRAWS):
            if attempt < self.source.attempts:
                genome = self.source.genome(number, attempt, history)
            else:
                genome = self.source.anything(self.source.stream(number, attempt))
            strategy = self.space.decode(genome)
            if strategy.digest not in taken:
                return Proposal(number, self.kind, genome, strategy, self.ladder[0])
        return None

    def seeded(self, count: int) -> int:
        """How many of the first `count` proposals that are no promotions are seeds."""
        if self.source.mixed and count > self.first:
            count = self.first + (count - self.first + 1) // 2
        return min(len(self.seeds), count)

    def passed_over(
        self, finished: Sequence[Evaluation]
    ) -> list[tuple[str, Strategy, tuple[float, ...]]]:
        """Baselines among the seeds that are not scored on the top rung, with the objectives that
        the surrogate expects there; none where no surrogate is trusted. What failed or broke a
        limit on a lower rung, or breaks one by the tables, is left out.
        """
        model = self._model(len(finished), self._history.read(finished))
        if model is None or self._surrogate is None:
            return []
        top = self.ladder[-1]
        done = {e.strategy.digest for e in finished if e.images == top or not e.feasible}
        left = [
            (origin, one)
            for origin, one in self.seeds
            if is_baseline(origin, one)
            and one.digest not in done
            and self._surrogate.violation(one) <= 0
        ]
        if not left:
            return []
        expected = self._surrogate.outcomes(model, [one for _, one in left], self.ladder[-1])
        rows = expected.mean(0).tolist()
        return [(*pair, tuple(row)) for pair, row in zip(left, rows, strict=True)]

    def _seed(self, number: int, taken: Collection[str]) -> tuple[str, Strategy] | None:
        """The next seed, where it is a seed's turn."""
        if not self.source.mixed:
            return self.seeds[number] if number < len(self.seeds) else None
        if number >= self.first and number % 2:
            return None
        return next((seed for seed in self.seeds if seed[1].digest not in taken), None)

    def _model(self, number: int, history: History) -> Fitted | None:
        """What proposals are chosen by; None before `first`, and while there is none to trust."""
        if self._surrogate is None or not self.source.mixed or number < self.first:
            return None
        model = self._surrogate.fitted(history)
        return model if model is not None and model.trusted else None

    def _screened(
        self, number: int, history: History, model: Fitted, taken: Collection[str]
    ) -> Proposal | None:
        """Of the seeds that are left and a pool of children the one that may add most to the front;
        None where nothing of them is new.
        """
        assert self._surrogate is not None
        seeds = [(o, one) for o, one in self.seeds if one.digest not in taken]
        genomes = self.source.pool(number, history)
        children = [self.space.decode(genome) for genome in genomes]
        everyone = [*((self.kind, one) for one in children), *seeds]
        left, images = [one for _, one in seeds], self.ladder[-1]
        worst = tuple(self._reference())
        order = self._surrogate.order(model, history, children, worst, images, left)
        for index in order:
            origin, strategy = everyone[index]
            if strategy.digest not in taken:
                own = index < len(genomes)
                genome = genomes[index] if own else self.space.encode(strategy)
                return Proposal(number, origin, genome, strategy, self.ladder[0])
        return None


def _unknown(strategy: Strategy) -> float:
    raise StrategyError("latency is not measured yet; prepare the engine first")


__all__ = ["Proposal", "Proposer", "Waiting"]
