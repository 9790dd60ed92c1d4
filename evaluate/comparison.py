"""Comparison of strategies with the unaccelerated model: everything that `python -m evaluate`
shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from evaluate import checks, scoring, verdicts
from evaluate.evaluator import REFERENCE_SEED, Evaluator, real_images
from evaluate.image_set import ImageSet
from evaluate.images.image_store import ImageStore, Report
from evaluate.images.prompts import Prompts
from evaluate.images.references import read_reference as read_reference
from evaluate.metrics import Metric, ReferenceKind
from evaluate.speed.measurement import SpeedMeasurement, measure_speed
from evaluate.speed.timing import environment, relative_iqr
from strategies import Strategy, StrategyError

BASELINE = "unaccelerated"


@dataclass(frozen=True)
class ComparisonRequest:
    """Settings of a comparison.

    Attributes:
        images: number of images that are scored of each strategy; 0 leaves quality out.
        metrics: metrics of quality.
        reference: `self`, a folder, a file of statistics, or None for the bundled one.
        reference_images: number of images of the reference `self`.
        per_folder: number of files read in each folder of the reference; None reads all.
        repeats: number of turns of every measurement of speed; 0 leaves speed out.
        batch: batch size for throughput; None leaves it out.
        margins: margins by metric that replace `Metric.margin`, see `evaluate.verdicts`.
    """

    images: int
    metrics: Sequence[Metric]
    reference: str | None = None
    reference_images: int | None = None
    per_folder: int | None = None
    repeats: int = 7
    batch: int | None = None
    margins: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparisonJob:
    """A comparison with everything that it needs loaded.

    Attributes:
        evaluator: evaluator of the model.
        prompts: list whose first prompts are used.
        metrics: metrics of quality.
        without: reasons why metrics are left out, by metric.
        request: settings of the comparison.
        store: folder of the generated images.
    """

    evaluator: Evaluator
    prompts: Prompts
    metrics: list[Metric]
    without: dict[str, str]
    request: ComparisonRequest
    store: ImageStore


def compare(
    evaluator: Evaluator,
    strategies: Sequence[tuple[str, Strategy]],
    prompts: Prompts,
    request: ComparisonRequest,
    store: ImageStore,
    report: Report,
    baselines: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Score the unaccelerated model and strategies.

    Args:
        evaluator: evaluator of the model.
        strategies: strategies with names.
        prompts: list whose first prompts are used.
        request: settings of the comparison.
        store: folder of the generated images.
        report: callback for progress.
        baselines: names of the equal-cost baselines, by the strategy that is compared with each.

    Returns:
        `setting`, `references` and `rows`, plain data; the first row is the unaccelerated model's.
        A row with an equal-cost baseline has its name under `baseline`, and the changes from it
        under `baseline_changes`.

    Raises:
        NotFiniteError: a strategy makes no images.
        ScoreError: a reference lacks something that a metric reads.
        StrategyError: a strategy does not fit, or there are too few prompts.
    """
    checks.check_applicable(evaluator.pipe, strategies)
    everyone = [(BASELINE, evaluator.unaccelerated), *strategies]
    rows: list[dict[str, Any]] = [
        {"name": name, "digest": one.digest, "scheduler": one.solver_text, "steps": one.steps}
        for name, one in everyone
    ]
    references: dict[ReferenceKind, ImageSet] = {}
    if request.images:
        prompts.first(request.images)
        references = _references(evaluator, prompts, request, store, report)
        found = _quality(
            evaluator, everyone, prompts, references, request, store, report, baselines or {}
        )
        rows = [row | quality for row, quality in zip(rows, found, strict=True)]
    if request.repeats:
        pipe, config = evaluator.pipe, evaluator.config
        speeds = measure_speed(
            pipe, config, prompts, [one for _, one in everyone], request.repeats, request.batch,
            lambda text: report(text, 0, 0),
        )  # fmt: skip
        rows = [row | speed(mine, speeds[0]) for row, mine in zip(rows, speeds, strict=True)]
    setting = {
        "model": evaluator.config.name,
        "images": request.images,
        "latency_batch": 1,
        "throughput_batch": request.batch,
        "repeats": request.repeats,
        **environment(evaluator.pipe, evaluator.config),
    }
    return {
        "setting": setting,
        "references": {view: side.name for view, side in references.items()},
        "rows": rows,
    }


def _references(
    evaluator: Evaluator,
    prompts: Prompts,
    request: ComparisonRequest,
    store: ImageStore,
    report: Report,
) -> dict[ReferenceKind, ImageSet]:
    """References by view; one that no metric reads is not made."""
    found: dict[ReferenceKind, ImageSet] = {}
    if not any({"real", "self"} & set(metric.views) for metric in request.metrics):
        return found
    if request.reference == "self":
        count = request.reference_images or request.images
        other = prompts.first(count).reseeded(REFERENCE_SEED)
        found["self"] = store.generate(
            "the unaccelerated model at other seeds", evaluator.pipe, evaluator.config,
            evaluator.unaccelerated, other, evaluator.networks, report,
        )  # fmt: skip
    elif request.reference is not None:
        found["real"] = read_reference(request.reference, evaluator.networks, request.per_folder)
        checks.readable(found["real"], request.metrics)
    elif evaluator.config.subject is not None:
        found["real"] = real_images(evaluator.config.subject)
    else:
        raise StrategyError("a reference is needed: a folder, a .npz file of statistics, or self")
    return found


def _quality(
    evaluator: Evaluator,
    everyone: Sequence[tuple[str, Strategy]],
    prompts: Prompts,
    references: dict[ReferenceKind, ImageSet],
    request: ComparisonRequest,
    store: ImageStore,
    report: Report,
    baselines: Mapping[str, str],
) -> list[dict[str, Any]]:
    count, metrics = request.images, list(request.metrics)
    drawn = prompts.first(count)
    sides = [
        store.generate(
            name, evaluator.pipe, evaluator.config, one, drawn, evaluator.networks, report
        )
        for name, one in everyone
    ]
    names = [name for name, _ in everyone]
    known = {
        name: scoring.statistics(side, sides[0], references, metrics)
        for name, side in zip(names, sides, strict=True)
    }
    rows = []
    for name, mine in known.items():
        report(f"scoring {name}", count, count)
        row: dict[str, Any] = {
            "images": count,
            **scoring.full_scores(mine, count),
            "intervals": scoring.intervals(mine, known[BASELINE], metrics, count),
        }
        margins = verdicts.margins_of(request.metrics, list(mine), request.margins)
        if name != BASELINE and margins:
            changes = verdicts.changes_in(row["intervals"])
            row["verdict"] = verdicts.judge_changes(changes, margins, count).to_json()
        if name in baselines:
            from_baseline = scoring.changes(mine, known[baselines[name]], metrics, count)
            row |= {"baseline": baselines[name], "baseline_changes": from_baseline}
        rows.append(row)
    return rows


def speed(mine: SpeedMeasurement, base: SpeedMeasurement) -> dict[str, Any]:
    """A strategy's speed as plain data."""
    latency = median(mine.latency)
    found: dict[str, Any] = {
        "latency_s": latency,
        "latency_spread": relative_iqr(mine.latency),
        "speedup": median(base.latency) / latency,
        "latency_sum_s": mine.sum,
        "latency_check": mine.check,
        "macs": mine.macs,
        "memory_bytes": mine.memory,
        "outside_s": mine.outside,
        "kinds": [asdict(kind) for kind in mine.kinds],
    }
    if mine.throughput:
        found |= {
            "throughput": median(mine.throughput),
            "throughput_spread": relative_iqr(mine.throughput),
        }
    return found
