"""Strategies of a report as plain data: behaviour, scores, file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.objectives import labels as titles
from search.objectives.objectives import COST_METRICS
from search.results.finalist import comparable_finalists, front
from search.results.plots import pareto
from search.results.run import FrontPoint, Run, named_points
from strategies import describe, dump

PLAIN = "unaccelerated"  # Key and group of the unaccelerated pipeline.


@dataclass(frozen=True)
class ReportEntry:
    """One strategy of the report.

    Attributes:
        key: its digest, or `PLAIN`.
        group: key in `search.results.plots.pareto.MARKERS` by which it is plotted.
        name: name of its file, without suffix; also the name for readers.
        labels: `fastest`, `knee` and `no-loss`, if it is that point of the front.
        on_front: whether nothing dominates it.
        point: point with its scores; None for the unaccelerated pipeline.
        scores: its scores.
    """

    key: str
    group: str
    name: str
    labels: tuple[str, ...]
    on_front: bool
    point: FrontPoint | None
    scores: Mapping[str, float]


def collect_entries(run: Run) -> list[ReportEntry]:
    """The unaccelerated pipeline, the front, then other scored strategies; each fastest first.

    Raises:
        StrategyError: nothing has been scored yet.
    """
    points = run.front()
    base = run.unaccelerated.scores if run.finals else run.base
    found = [ReportEntry(PLAIN, PLAIN, PLAIN, (), False, None, base)]
    labels = labelled(points)
    for index, point in enumerate(points, 1):
        found.append(_shown(run, point, f"{index:02d}-{_times(point)}", labels, on_front=True))
    there = {final.strategy.digest for final in front(run.finals)}
    rest = [
        one
        for one in comparable_finalists(run.finals)
        if one.role != PLAIN and one.strategy.digest not in there
    ]
    for final in sorted(rest, key=lambda one: one.scores["latency_s"]):
        point = run.point(final)
        name = f"{final.origin}-{_times(point)}"
        found.append(_shown(run, point, name, {}, on_front=False))
    return found


def labelled(points: list[FrontPoint]) -> dict[str, tuple[str, ...]]:
    """Names of the named points of a front, by digest."""
    names = named_points(points)
    return {
        point.strategy.digest: tuple(name for name, one in names.items() if one is point)
        for point in names.values()
    }


def _times(point: FrontPoint) -> str:
    return f"{point.scores['speedup']:.1f}x"


def _shown(
    run: Run, point: FrontPoint, name: str, labels: Mapping[str, tuple[str, ...]], on_front: bool
) -> ReportEntry:
    strategy = point.strategy
    key, group = strategy.digest, pareto.group(run, point.origin, strategy)
    return ReportEntry(key, group, name, labels.get(key, ()), on_front, point, point.scores)


def headline(one: ReportEntry) -> str:
    """Speedup and solver, or that it is the unaccelerated pipeline."""
    if one.point is None:
        return PLAIN
    return f"{one.scores['speedup']:.2f}x, {solver_and_steps(one)}"


def solver_and_steps(one: ReportEntry) -> str:
    """The solver and its steps."""
    assert one.point is not None
    return f"{one.point.strategy.short_solver} {one.point.strategy.steps}"


def behaviour_words(one: ReportEntry) -> list[str]:
    """Behaviour in words, a line for each method."""
    if one.point is None:
        return ["nothing is left out"]
    strategy = one.point.strategy
    return describe.summary(strategy) if strategy.methods else ["fewer steps, no method"]


def score_names(one: ReportEntry) -> list[str]:
    """Names of its scores for readers, costs first."""
    names = [name for name in ("speedup", *COST_METRICS) if name in one.scores]
    return names + [name for name in one.scores if titles.metric(name) is not None]


def as_data(run: Run, rows: Iterable[ReportEntry]) -> list[dict[str, Any]]:
    """Data of every strategy for the page's scripts."""
    return [_row(run, one) for one in rows]


def _row(run: Run, one: ReportEntry) -> dict[str, Any]:
    return {
        "key": one.key,
        "group": one.group,
        "name": one.name,
        "labels": list(one.labels),
        "front": one.on_front,
        "headline": headline(one),
        "words": behaviour_words(one),
        "origin": one.point.origin if one.point else "",
        "no_loss": one.point.no_loss if one.point else None,
        "figures": [_figure(one, name) for name in score_names(one)],
        "file": dump(run.file(one.point, one.name)) if one.point else None,
    }


def _figure(one: ReportEntry, name: str) -> dict[str, str]:
    intervals = one.point.intervals if one.point else {}
    base = one.point.base if one.point else {}
    return {
        "title": titles.title(name),
        "value": titles.score_text(name, one.scores[name]),
        "plain": titles.score_text(name, base[name]) if name in base else "",
        "level": level(name),
        "interval": interval_words(name, intervals.get(name)),
        "change": interval_words(name, intervals.get(f"{name}_change"), signed=True),
    }


def level(name: str) -> str:
    """Basis of a score's interval, in words."""
    metric = titles.metric(name)
    return "without bias" if metric is not None and metric.biased else "95 %"


def interval_words(name: str, given: Sequence[float] | None, signed: bool = False) -> str:
    """A 95 % interval with its value as text, or empty."""
    if given is None:
        return ""
    texts = [titles.score_text(name, number) for number in given]
    if signed:
        pairs = zip(given, texts, strict=True)
        texts = [f"+{text}" if number > 0 else text for number, text in pairs]
    value, low, high = (text.replace("-", "\N{MINUS SIGN}") for text in texts)
    return f"{value} ({low} to {high})"
