"""Plot of the convergence: hypervolume of the search's own front against device time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import pyplot as plt

from search.results.plots.style import BLUE, GREEN, GREY, save_plot, styled
from search.results.run import Run
from search.study.archive import ParetoArchive
from search.study.evaluation import is_baseline_evaluation
from search.study.measurements import Measurements
from strategies import StrategyError


def write(run: Run, folder: Path) -> list[Path]:
    """Write `convergence.png` and `convergence.svg`; returns their paths.

    Raises:
        StrategyError: nothing has been scored yet.
    """
    found = curves(run)
    if not found.everything.seconds:
        raise StrategyError(f"{run.folder}: no strategy has been scored yet")
    most = max(found.everything.seconds)
    unit, divisor = ("h", 3600.0) if most > 7200 else ("min", 60.0)
    with styled():
        figure, axes = plt.subplots(figsize=(3.5, 2.7), layout="constrained")
        for label, colour, curve in (
            ("search", BLUE, found.everything),
            ("its baselines alone", GREEN, found.baselines),
        ):
            if curve.seconds:
                times, volumes = [*curve.seconds, most], [*curve.volumes, curve.volumes[-1]]
                scaled = [time / divisor for time in times]
                axes.plot(
                    scaled, volumes, color=colour, drawstyle="steps-post", linewidth=1.2,
                    label=label,
                )  # fmt: skip
        if found.initial_end is not None:
            end = found.initial_end[1] / divisor
            axes.axvline(end, color=GREY, linewidth=0.8, linestyle=":")
            axes.annotate(
                " initial strategies end", (end, 0), xycoords=("data", "axes fraction"),
                xytext=(2, 3), textcoords="offset points", color=GREY, fontsize=7,
            )  # fmt: skip
        axes.set_xlabel(f"device time, {unit}")
        axes.set_ylabel("hypervolume, share of the box")
        axes.set_xlim(left=0)
        axes.grid(visible=True)
        figure.legend(loc="outside upper center", ncols=2)
        return save_plot(figure, folder, "convergence")


@dataclass(frozen=True)
class Curve:
    """Hypervolumes with the evaluations and device seconds until each; of equal lengths."""

    evaluations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Convergence:
    """Growth of the hypervolume.

    Attributes:
        everything: curve of the whole search.
        baselines: curve of its baselines alone.
        initial_end: evaluations and device seconds at the end of the initial strategies, if more
            followed.
    """

    everything: Curve
    baselines: Curve
    initial_end: tuple[int, float] | None


def curves(run: Run) -> Convergence:
    """Hypervolume after each evaluation on the most images that any has."""
    measured, rows = Measurements(run.study), run.study.evaluations
    worst = measured.reference_point
    everything, baselines = Curve(), Curve()
    if worst is None:
        return Convergence(everything, baselines, None)
    most = max((row.images for row in rows if row.feasible), default=0)
    spent = measured.seconds
    mine, baseline_front = ParetoArchive(), ParetoArchive()
    initial_end: tuple[int, float] | None = None
    for number, row in enumerate(rows, 1):
        spent += row.seconds
        if row.origin != run.config.proposer:
            initial_end = number, spent
        if row.images < most:
            continue
        for best, curve, counts in (
            (mine, everything, True),
            (baseline_front, baselines, is_baseline_evaluation(row)),
        ):
            if counts:
                best.add(row)
                curve.evaluations.append(number)
                curve.seconds.append(spent)
                curve.volumes.append(best.hypervolume(worst))
    more = initial_end != (len(rows), spent)
    return Convergence(everything, baselines, initial_end if more else None)
