"""What a search asks its workers to draw, and the unaccelerated samples that it starts from.

The unaccelerated images themselves stay in the run's folder, where every worker that compares
pixels reads them; a worker that does not see the folder draws its own. Large samples are drawn in
parts, by all workers at once.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch

from accel.models import default_device
from evaluate.evaluator import Split, real_images
from evaluate.networks import Networks
from evaluate.reading import Reading, Sample
from evaluate.references import read as read_reference
from evaluate.scores import Scoring
from evaluate.side import Side
from search.config import SearchConfig
from search.images import feature_cache as samples
from search.results import gallery
from search.workers.worker import Request
from strategies import Strategy, StrategyError, dump

if TYPE_CHECKING:
    from search.engine.engine import Engine

DRAWN = "drawn-"  # What the number of unaccelerated images of a part is noted under.
SELF: dict[str, Split] = {"search": "search-self", "heldout": "heldout-self"}


def request(
    engine: Engine,
    key: str,
    strategy: Strategy,
    split: str,
    count: int,
    start: int = 0,
    limit: float | None = None,
) -> Request:
    """To draw prompts `start` to `count` of a split and send back what the search reads of them.

    Args:
        limit: seconds after which it is broken off; None never is.
    """
    reading = _reading(engine, split)
    keep: dict[str, Any] = {
        "networks": list(reading.networks),
        "pairs": list(reading.pairs),
        "memory": reading.memory and not start,
        "thumbnails": _thumbnails(split, start),
        "images": str((engine.folder / "unaccelerated").resolve()),
    }
    return Request(key, "sample", (dump(strategy), split, count, start, keep), limit)


def _reading(engine: Engine, split: str) -> Reading:
    reading = engine.figures.reading
    # A reference is compared as a set, never pixel by pixel.
    return Reading(reading.networks) if split in SELF.values() else reading


def unaccelerated(engine: Engine, split: str, count: int) -> Sample:
    """The first unaccelerated images of a split, from the run's folder as far as they are there.

    Raises:
        StrategyError: the unaccelerated pipeline failed.
    """
    path = engine.folder / f"baseline-{split}.safetensors"
    reading = _reading(engine, split)
    found = samples.longest(path, reading, engine.origin, engine.unsigned)
    if found is None or found.count < count:
        found = _grown(engine, split, found, count)
        samples.write(found, path, engine.origin)
    return found.first(count)


def first(engine: Engine, split: str) -> Sample:
    """The first unaccelerated image of a split; it is drawn where it is not there."""
    path = engine.folder / f"baseline-{split}.safetensors"
    found = samples.longest(path, _reading(engine, split), engine.origin, engine.unsigned)
    if found is None:
        found = _draw(engine, split, 0, 1)
        samples.write(found, path, engine.origin)
    return found.first(1)


def _grown(engine: Engine, split: str, found: Sample | None, count: int) -> Sample:
    """A sample with what is missing, of which only those images are drawn that nobody knows."""
    reading, known = _reading(engine, split), list[int]()
    done = found.count if found else 0
    # Workers read images from the run's folder only where they compare pixels.
    shared = engine.shared if reading.pairs and not reading.memory else None
    if shared is not None:
        shared.look(engine, split, done, count)
        if found is None:  # Its first image may have been drawn just now.
            path = engine.folder / f"baseline-{split}.safetensors"
            found = samples.longest(path, reading, engine.origin, engine.unsigned)
            done = found.count if found else 0
        known = shared.put(split, done, count)
    if done < count:
        more = _draw(engine, split, done, count, known)
        found = found.followed_by(more) if found else more
    if shared is not None:
        shared.keep(split, 0, count)
    assert found is not None
    return found


def _thumbnails(split: str, start: int) -> int:
    """Small copies that are kept of the images from one on."""
    return max(0, gallery.COUNT - start) if split == "heldout" else 0


def owed(engine: Engine, split: str, count: int) -> int:
    """Unaccelerated images of a split, and of its reference, that are not drawn yet."""
    sets = {split: count}
    if engine.figures.needs_reference and engine.figures.view == "self":
        sets[SELF[split]] = engine.config.reference_images or count
    left = 0
    for name, number in sets.items():
        done = samples.count(engine.folder / f"baseline-{name}.safetensors")
        there = engine.shared.count(name, done, number) if engine.shared else 0
        left += max(0, number - done - there)
    return left


def _draw(
    engine: Engine, split: str, first: int, count: int, known: Collection[int] = ()
) -> Sample:
    """Draw prompts `first` to `count`, but for those whose images are known."""
    executor, study = engine.executor, engine.study
    size = max(engine.config.model.batch, -(-(count - first) // executor.slots))
    waiting = [
        request(engine, f"baseline-{split}-{start}", engine.baseline, split,
                min(start + size, count), start, engine.patience(size))
        for start in range(first, count, size)
    ]  # fmt: skip
    parts: dict[int, Sample] = {}
    left = count - first
    engine.say(f"drawing the unaccelerated images, {left} to go")
    for done, outcome in executor.each(waiting):
        engine.must(outcome)
        start = done.arguments[3]
        parts[start] = outcome.value
        gallery.keep(engine.folder, engine.baseline.digest, outcome.value, start)
        end = start + outcome.value.count
        drawn = {f"{DRAWN}{split}:{start}": len(set(range(start, end)) - set(known))}
        study.enter(f"baseline-{split}:{start}", drawn, outcome.seconds)
        left -= outcome.value.count
        engine.say(f"drawing the unaccelerated images, {left} to go")
    if split == "heldout":
        gallery.describe(engine.folder, engine.config.model)
    found = parts.pop(first)
    for start in sorted(parts):
        found = found.followed_by(parts[start])
    return found


def scoring(engine: Engine, split: str, count: int) -> Scoring:
    """What samples of a split are held against; its reference is made where any figure reads one.

    Raises:
        StrategyError: the unaccelerated pipeline failed, or the reference cannot be read.
    """
    metrics, view = engine.figures.metrics, engine.figures.view
    if not engine.figures.needs_reference:
        return Scoring(metrics, {})
    if view == "self":
        number = engine.config.reference_images or count
        side = unaccelerated(engine, SELF[split], number).side()
    elif "search" not in engine.scoring:
        side = _real(engine)
    else:
        side = engine.scoring["search"].references[view]  # The same for both splits.
    return Scoring(metrics, {view: side})


def _real(engine: Engine) -> Side:
    """The reference of real images, with the features that the search reads, and nothing else."""
    side = reference(engine.config)
    for metric in engine.figures.metrics:
        if "real" in metric.views and metric.network is not None:
            engine.say(f"reading the reference for {metric.name}")
            (side.statistics if metric.gaussian else side.features)(metric.network)
    found = Side(side.name, side.count, known=side.known, gaussians=side.gaussians)
    del side  # With its networks, whose memory the workers need.
    torch.cuda.empty_cache()
    return found


def reference(config: SearchConfig) -> Side:
    """The reference of real images that a search is held against.

    Raises:
        StrategyError: it cannot be read, or lacks what a figure of the search reads.
    """
    if config.reference is None:
        side = real_images()
    else:
        networks = Networks(default_device())
        side = read_reference(config.reference, networks, config.reference_per_class)
    for metric in config.figures.metrics:
        there = {*side.known, *(side.gaussians if metric.gaussian else ())}
        if "real" in metric.views and side.image is None and metric.network not in there:
            raise StrategyError(
                f"{metric.name} reads {metric.network} features of every image of the reference, "
                f"and {side.name} has {', '.join([*side.known, *side.gaussians])}; give a folder "
                "of images or --reference self, or choose other objectives"
            )
    return side
