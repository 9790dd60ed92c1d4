"""Measurements that a search makes once, as its study keeps them.

Only this module and its neighbours `finalist_notes`, `run_notes` and `failures` know the keys of a
study's notes. The keys are those of version 0.1, so runs of earlier versions are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluate.speed.latency_table import LatencyTable
from search.study.reference_point import worst
from search.study.study import Study
from strategies import Strategy

# Entries with the device time of everything that is measured before the first proposal.
BEFORE = (
    *("repeats", "baseline-search", "baseline-search-self", "table", "macs", "memory"),
    *("sensitivity", "workers", "batch"),
)
UNMEASURABLE = "untimed"
FAILED = "failed"  # Noted in place of a sensitivity that could not be measured.


@dataclass(frozen=True)
class WorkerGain:
    """Images that several workers generate, compared with one.

    Attributes:
        there: number of workers.
        gain: images that they generate together in the time in which one generates one.
    """

    there: int
    gain: float


@dataclass(frozen=True)
class BatchCost:
    """Cost of a batch of images.

    Attributes:
        latency: seconds of one image of its strategy alone, by the latency table.
        images: number of images.
        seconds: device time of the batch.
    """

    latency: float
    images: int
    seconds: float


@dataclass(frozen=True)
class WholeGeneration:
    """Measured costs of a strategy whose calls take different times for different images.

    Attributes:
        ratio: latency as a share of the unaccelerated pipeline's.
        macs: multiply-accumulates of an image, where they are counted.
        error: reason why it could not be measured, or empty.
    """

    ratio: float = 1.0
    macs: float | None = None
    error: str = ""


class Measurements:
    """Measurements that a study keeps; each is None until it is made.

    Args:
        study: log of the run.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    # The device and its costs.

    @property
    def device(self) -> str | None:
        """Name of the device of the workers, which latencies belong to."""
        return self._text("device")

    def keep_device(self, name: str) -> None:
        """Keep the name of the device of the workers."""
        self._study.note("device", name)

    @property
    def latency_table(self) -> LatencyTable | None:
        """Seconds of each kind of call and of each solver."""
        found = self._study.noted("table")
        return None if found is None else LatencyTable.model_validate(found)

    def keep_latency_table(
        self, table: LatencyTable, failed: Mapping[str, str], seconds: float
    ) -> None:
        """Keep the latency table.

        Args:
            table: the latency table.
            failed: reason of the failure by the name of a kind of call or a solver that failed.
            seconds: device time that it took.
        """
        notes = self._failed(failed) | {"table": table.model_dump()}
        self._study.enter("table", notes, seconds)

    @property
    def macs(self) -> dict[str, float] | None:
        """Multiply-accumulates by kind of call."""
        found: dict[str, float] | None = self._study.noted("macs")
        return found

    def keep_macs(
        self, macs: Mapping[str, float], failed: Mapping[str, str], seconds: float
    ) -> None:
        """Keep multiply-accumulates by kind of call; the rest as in `keep_latency_table`."""
        self._study.enter("macs", self._failed(failed) | {"macs": dict(macs)}, seconds)

    def latency(self, strategy: Strategy) -> float | None:
        """Seconds of one image by the latency table, or as measured as a whole; None if neither."""
        if not strategy.is_adaptive:
            table = self.latency_table
            return None if table is None else table.predict(strategy)
        found, plain = self.whole_generation(strategy.digest), self.unaccelerated_scores
        if found is None or found.error or plain is None:
            return None
        return found.ratio * plain["latency_s"]

    def whole_generation(self, digest: str) -> WholeGeneration | None:
        """Costs of a strategy that the tables cannot have."""
        found = self._study.noted(f"whole:{digest}")
        return None if found is None else WholeGeneration(**found)

    def keep_whole_generation(self, digest: str, found: WholeGeneration, seconds: float) -> None:
        """Keep the costs of a strategy that the tables cannot have."""
        name = f"whole:{digest}"
        self._study.enter(name, {name: asdict(found)}, seconds)

    @property
    def unmeasurable(self) -> dict[str, str]:
        """Why a kind of call or a solver could not be measured, by its name."""
        return dict(self._study.noted(UNMEASURABLE) or {})

    def _failed(self, failed: Mapping[str, str]) -> dict[str, Any]:
        return {UNMEASURABLE: self.unmeasurable | dict(failed)} if failed else {}

    @property
    def worker_gain(self) -> WorkerGain | None:
        """Images that several workers generate, compared with one."""
        found = self._study.noted("workers")
        return None if found is None else WorkerGain(found["there"], found["gain"])

    def keep_worker_gain(self, gain: WorkerGain, seconds: float) -> None:
        """Keep the measured gain of several workers, and the device time of measuring it."""
        taken = self._study.seconds("workers") + seconds
        self._study.enter("workers", {"workers": asdict(gain)}, taken)

    @property
    def batch_cost(self) -> BatchCost | None:
        """Cost of a batch of images, if it had to be measured."""
        found = self._study.noted("batch")
        return None if found is None else BatchCost(**found)

    def keep_batch_cost(self, cost: BatchCost) -> None:
        """Keep the cost of a batch of images."""
        self._study.enter("batch", {"batch": asdict(cost)}, cost.seconds)

    @property
    def seconds(self) -> float:
        """Device time of everything that was measured before the first proposal."""
        return sum(map(self._study.seconds, BEFORE))

    # The unaccelerated pipeline.

    @property
    def repeatability(self) -> float | None:
        """Difference between two images of one prompt, in levels of 255."""
        found: float | None = self._study.noted("repeats")
        return found

    def keep_repeatability(self, apart: float, seconds: float) -> None:
        """Keep how far apart two images of one prompt are."""
        self._study.enter("repeats", {"repeats": apart}, seconds)

    def shares_images(self, source: str) -> bool | None:
        """Whether the unaccelerated images of another run, or that ship, may be used."""
        found: bool | None = self._study.noted(f"shared:{source}")
        return found

    def keep_shares_images(self, source: str, shares: bool) -> None:
        """Keep whether images of a source may be used."""
        self._study.note(f"shared:{source}", shares)

    def keep_unaccelerated(self, split: str, start: int, drawn: int, seconds: float) -> None:
        """Keep the cost of unaccelerated images.

        Args:
            split: name of the prompts.
            start: number of the first prompt.
            drawn: number of images that were really generated.
            seconds: device time that they took.
        """
        notes = {f"drawn-{split}:{start}": drawn}
        self._study.enter(f"baseline-{split}:{start}", notes, seconds)

    def unaccelerated(self, split: str) -> tuple[int, float]:
        """Number of unaccelerated images of a split that were generated, and their device time.

        Earlier versions did not note how many; it is 0 then.
        """
        drawn = sum(self._study.named(f"drawn-{split}:").values())
        return drawn, self._study.seconds(f"baseline-{split}")

    @property
    def unaccelerated_scores(self) -> dict[str, float] | None:
        """Scores of the unaccelerated pipeline on the search's prompts."""
        found: dict[str, float] | None = self._study.noted("base_scores")
        return found

    @property
    def reference_point(self) -> tuple[float, ...] | None:
        """The worst point that counts, see `search.study.reference_point`."""
        found = self._study.noted("reference")
        if found is None:
            return None
        # Runs of earlier versions have a constant in its place.
        unscaled = self._study.noted("unscaled") or [False] * len(found)
        return worst(found, unscaled, self._study.evaluations)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that scores depend on, by name."""
        return dict(self._study.noted("versions") or {})

    def keep_prepared(
        self,
        scores: Mapping[str, float],
        reference: Sequence[float],
        unscaled: Sequence[bool],
        versions: Mapping[str, str],
    ) -> None:
        """Keep what every evaluation is compared with, if the study has other values or none.

        Args:
            scores: scores of the unaccelerated pipeline.
            reference: worst loss of each objective that is known before the search.
            unscaled: whether losses of each objective may lie beyond that.
            versions: versions of packages by name.
        """
        kept = {
            "base_scores": dict(scores),
            "reference": list(reference),
            "unscaled": list(unscaled),
            "versions": dict(versions),
        }
        if any(self._study.noted(key) != value for key, value in kept.items()):
            self._study.enter("prepared", kept)

    # What is measured of strategies, and how far the search is.

    def has_sensitivity(self, digest: str) -> bool:
        """Whether the change of a strategy's images was measured, or failed to be."""
        return self._study.noted(f"sensitivity:{digest}") is not None

    def sensitivity(self, digest: str) -> float | None:
        """Change of the images of a strategy; None also if measuring it failed."""
        found = self._study.noted(f"sensitivity:{digest}")
        return found if isinstance(found, float) else None

    def keep_sensitivity(self, digest: str, change: float | None, seconds: float) -> None:
        """Keep how much the images of a strategy change; None where it failed."""
        name = f"sensitivity:{digest}"
        self._study.enter(name, {name: FAILED if change is None else change}, seconds)

    @property
    def first_bred(self) -> int | None:
        """Number of the proposal from which on children are bred."""
        found: int | None = self._study.noted("start")
        return found

    def keep_first_bred(self, number: int) -> None:
        """Keep from which proposal on children are bred."""
        self._study.note("start", number)

    @property
    def finished_budget(self) -> str | None:
        """The budget that the search has been through."""
        return self._text("searched")

    def keep_finished_budget(self, budget: str) -> None:
        """Keep that the search has been through a budget."""
        self._study.note("searched", budget)

    def _text(self, key: str) -> str | None:
        found: str | None = self._study.noted(key)
        return found
