"""Test of non-inferiority: whether a loss of quality beyond a margin set beforehand is ruled out.

A score passes if its whole 95 % interval of the change to the unaccelerated pipeline is no worse
than the margin (Piaggio et al., 2012, JAMA 308, 2594-2604). A score that is not shown to be worse
has not passed: few images show nothing. All scores must pass, so the chance that a strategy with a
loss beyond the margin passes is at most 2.5 %, however many scores there are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evaluate.metrics import METRICS, Metric
from evaluate.statistics.bounded import Z
from strategies import StrategyError

Answer = Literal["yes", "no", "not shown"]
# Images without which nothing passes. A fault that hits one image in twenty is missing in so many
# with a probability of 4 %; with fewer an interval can be narrow because the fault was not drawn.
ENOUGH = 64


@dataclass(frozen=True)
class Finding:
    """Result for one score.

    Attributes:
        name: name of the score.
        answer: `yes`: no loss beyond the margin; `no`: there is a loss; `not shown`: neither.
        told: the score in words, with the interval and the margin.
        clause: the answer in words, which several scores may share.
    """

    name: str
    answer: Answer
    told: str
    clause: str = ""

    @property
    def reason(self) -> str:
        """The score and the answer in words."""
        return self.told + self.clause


@dataclass(frozen=True)
class Verdict:
    """Result for all scores together."""

    findings: tuple[Finding, ...]

    @property
    def answer(self) -> Answer:
        """`no` if any score has a loss, `yes` if none has a loss beyond its margin."""
        answers = {one.answer for one in self.findings}
        if "no" in answers:
            return "no"
        return "yes" if answers == {"yes"} else "not shown"

    @property
    def reasons(self) -> list[str]:
        """Reasons against `yes`: the scores with a loss if there are any, else those not shown.

        Scores with one reason share a line, so that it is said once.
        """
        lines = defaultdict[str, list[str]](list)
        for one in self.findings:
            if one.answer == self.answer != "yes":
                lines[one.clause].append(one.told)
        return [" and ".join(told) + clause for clause, told in lines.items()]

    def to_json(self) -> dict[str, Any]:
        """The answer with its reasons, and each figure's."""
        figures = {one.name: {"answer": one.answer, "reason": one.reason} for one in self.findings}
        return {"answer": self.answer, "why": self.reasons, "figures": figures}


def judge_changes(
    changes: Mapping[str, Sequence[float]],
    margins: Mapping[str, float | None],
    images: int,
    planned: int = 0,
) -> Verdict:
    """The verdict on a strategy.

    Args:
        changes: 95 % intervals of scores minus the unaccelerated pipeline's, `[value, low, high]`,
            by score. A missing one is not shown.
        margins: margin of each score that decides, see `Metric.margin`; at least one.
        images: number of images of the intervals.
        planned: number of images that were planned beforehand. Fewer images never pass: looking
            several times and stopping at the first success would pass more strategies with a loss.
    """
    return Verdict(
        tuple(
            _find(name, changes.get(name), margin, images, planned)
            for name, margin in margins.items()
        )
    )


def _find(
    name: str, change: Sequence[float] | None, margin: float | None, images: int, planned: int
) -> Finding:
    metric = metric_for(name)
    if change is None or not all(map(math.isfinite, change)):
        return Finding(name, "not shown", name, f": {images} images give no interval")
    told = _told(name, metric, change)
    if margin is None:
        return Finding(name, "not shown", told, f"; it has no margin, give --margin {name}=VALUE")
    told += f", margin {margin:g}"
    value, low, high = change
    worst = -low if metric.better == "higher" else high
    least = -high if metric.better == "higher" else low
    if low == high and (value or metric.bounds is not None):
        return Finding(name, "not shown", told, "; the interval has no width")
    if worst > margin and least > 0:
        return Finding(name, "no", told, ": a loss")
    if worst > margin:
        told += _hint(metric, margin, images)
        return Finding(name, "not shown", told, ": a larger loss is not ruled out")
    if images < ENOUGH:
        clause = f"; {images} images, at least {ENOUGH} are needed"
        return Finding(name, "not shown", told, clause)
    if images < planned:
        clause = f"; stopped on {images} of the {planned} images planned"
        return Finding(name, "not shown", told, clause)
    return Finding(name, "yes", told)


def _told(name: str, metric: Metric, change: Sequence[float]) -> str:
    value, low, high = (metric.form.replace("{:", "{:+").format(number) for number in change)
    return f"{name} {value} ({low} to {high})"


def _hint(metric: Metric, margin: float, images: int) -> str:
    least = fewest(metric, margin)
    return f" (takes at least {least} images)" if images < least else ""


def fewest(metric: Metric, margin: float) -> int:
    """Number of images below which a score cannot pass, even if no image changes."""
    if metric.bounds is None:
        return ENOUGH
    share = margin / (metric.bounds[1] - metric.bounds[0])
    return max(ENOUGH, math.ceil(Z**2 * (1 - share) / share))


def metric_for(name: str) -> Metric:
    """The metric of a score's name."""
    return next(m for m in METRICS.values() if name in map(m.key, m.views))


def margins_of(
    metrics: Sequence[Metric], names: Sequence[str], given: Mapping[str, float]
) -> dict[str, float | None]:
    """Margins of all measured scores that have one.

    Args:
        metrics: measured metrics.
        names: names of their scores.
        given: margins by score, with or without the view of the reference, such as `fid`.

    Raises:
        StrategyError: see `check_margins`.
    """
    there = {metric.key(view): metric for metric in metrics for view in metric.views}
    found = {
        name: there[name].margin
        for name in names
        if is_judged(there[name], name) and there[name].margin is not None
    }
    full = {}
    for name, value in given.items():
        views = (name, f"{name}_real", f"{name}_self")
        full[next((one for one in views if one in names), name)] = value
    check_margins(full, names)
    return found | full


def changes_in(intervals: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Intervals of changes by score, among those that scoring returns."""
    ends = "_change"
    return {n.removesuffix(ends): given for n, given in intervals.items() if n.endswith(ends)}


def is_judged(metric: Metric, name: str) -> bool:
    """Whether a score has a change to the unaccelerated pipeline, instead of comparing with its
    images.
    """
    return any(metric.key(view) == name for view in metric.views if view != "base")


def parse_margin(text: str) -> tuple[str, float]:
    """A margin from the command line, `NAME=VALUE`.

    Raises:
        StrategyError: not of this form, or not above 0.
    """
    name, _, amount = text.partition("=")
    try:
        value = float(amount)
    except ValueError:
        value = math.nan
    if not name.strip() or not (math.isfinite(value) and value > 0):
        raise StrategyError(
            f"--margin {text!r} is not understood; give NAME=VALUE with a value above 0, such as "
            "fid=0.5 or right_shape=0.01"
        )
    return name.strip().replace("-", "_"), value


def check_margins(given: Mapping[str, float], names: Sequence[str]) -> None:
    """Check that margins belong to scores that can be judged.

    Args:
        given: margins by score.
        names: names of the measured scores.

    Raises:
        StrategyError: an unknown score, one that counts every change as a loss, or a value that is
            not above 0.
    """
    able = [name for name in names if is_judged(metric_for(name), name)]
    for name, value in given.items():
        if not (math.isfinite(value) and value > 0):
            raise StrategyError(f"the margin of {name} is {value}; give a number above 0")
        if name in able:
            continue
        if name in names:
            raise StrategyError(
                f"{name} compares with the unaccelerated images, so every change is a loss by it "
                f"and it has no margin; there are {', '.join(able) or 'none'}"
            )
        raise StrategyError(
            f"margin of {name!r}: unknown score; allowed are {', '.join(able) or 'none'}"
        )
