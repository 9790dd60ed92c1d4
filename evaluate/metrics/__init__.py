"""Metrics of quality, one file each, by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from evaluate.metrics import (
    accuracy,
    clip_fid,
    clip_score,
    cmmd,
    fd,
    feature_error,
    fid,
    image_reward,
    inception_score,
    kd,
    kid,
    lpips,
    precision_recall,
    psnr,
    sfid,
    ssim,
)
from evaluate.metrics.shared.base import VIEWS, Metric, ReferenceKind
from evaluate.metrics.videos import temporal_error
from evaluate.networks import why_missing
from strategies import StrategyError
from strategies.plugins import entry_points
from strategies.words import did_you_mean
from zoo import MODELS, SUBJECTS

_OWN = {
    metric.name: metric
    for metric in (
        fid.METRIC,
        kid.METRIC,
        clip_fid.METRIC,
        cmmd.METRIC,
        sfid.METRIC,
        inception_score.METRIC,
        precision_recall.PRECISION,
        precision_recall.RECALL,
        clip_score.METRIC,
        image_reward.METRIC,
        fd.METRIC,
        kd.METRIC,
        feature_error.METRIC,
        psnr.METRIC,
        ssim.METRIC,
        lpips.METRIC,
        temporal_error.METRIC,
        *accuracy.METRICS,
    )
}


def _why_not(name: str, value: Any) -> str:
    """Reason why the plug-in of a metric cannot be used; empty if it can be."""
    if not isinstance(value, Metric):
        return f"it must be a Metric, not {type(value).__name__}"
    if value.name != name:
        return f"its metric is called {value.name!r}; the entry point must have that name"
    if not re.fullmatch("[a-z][a-z0-9-]*", name):
        return "a metric is named with small letters, digits and dashes"
    if value.name in GROUPS:
        return "a group of metrics of Stratagem has this name; give it another one"
    return ""


GROUPS = {"accuracy": tuple(metric.name for metric in accuracy.METRICS)}
# Metrics that every search also records: cheap, and without weights to fetch.
SEARCH = ("fd", "kd", "feature-error", "psnr", "accuracy")
METRICS = entry_points.Table[Metric]("metrics", _OWN, _why_not)


def known_metrics(name: str) -> list[Metric]:
    """The metric of a name, or all metrics of a group.

    Raises:
        StrategyError: an unknown name.
    """
    for one in GROUPS.get(name, (name,)):
        if one not in METRICS:
            known = [*GROUPS, *(n for n in METRICS if n not in GROUPS["accuracy"])]
            hint = did_you_mean(one, known)
            hint += entry_points.left_out("metrics", one)
            raise StrategyError(f"metric {one!r} is unknown; there are {', '.join(known)}{hint}")
    return [METRICS[one] for one in GROUPS.get(name, (name,))]


def select_metrics(names: Collection[str], subject: str | None) -> list[Metric]:
    """Metrics by name or group; of a group those that know the images of a subject.

    Args:
        names: names of metrics or groups.
        subject: subject of a bundled model, a value of `zoo.SUBJECTS`; None for other models.

    Raises:
        StrategyError: an unknown name, or a metric that does not know the model's images.
    """
    chosen: dict[str, Metric] = {}
    for name in names:
        metrics = [metric for metric in known_metrics(name) if metric.knows(subject)]
        if not metrics:
            others = [m.name for m in METRICS.values() if m.knows(subject)]
            whole = known_metrics(name)
            models = [n for n in MODELS if any(m.knows(SUBJECTS[n]) for m in whole)]
            known = ", ".join(models) or "other models"
            raise StrategyError(
                f"metric {name} only knows the images of {known}; for this model there are "
                f"{', '.join(others)}"
            )
        chosen |= {metric.name: metric for metric in metrics}
    return list(chosen.values())


def searched_metrics(subject: str | None) -> list[Metric]:
    """Metrics that every search of a model also records."""
    return [one for name in SEARCH for one in known_metrics(name) if one.knows(subject)]


def default_metrics(
    subject: str | None, video: bool = False
) -> tuple[list[Metric], dict[str, str]]:
    """Default metrics: all whose weights are on disk.

    Args:
        subject: subject of a bundled model, a value of `zoo.SUBJECTS`; None for other models.
        video: whether the model generates videos.

    Returns:
        The metrics, and the reason why each of the others is left out.
    """
    if subject is not None:
        return select_metrics([*SEARCH, "ssim"], subject), {}
    found, without = [], {}
    for metric in METRICS.values():
        if not metric.knows(subject) or (metric.video and not video):
            continue
        reason = why_missing([metric.network] if metric.network else [])
        if reason:
            without[metric.name] = reason
        else:
            found.append(metric)
    return found, without


__all__ = ["GROUPS", "METRICS", "VIEWS", "Metric", "ReferenceKind"]
