"""How the hypervolume of the search's own front grows with device time."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt

from search.plots.style import BLUE, GREEN, GREY, save, styled
from search.runs import Run
from search.seeds import BASELINES
from search.standing import Best, reference
from search.study import SECONDS
from strategies import StrategyError

FIRST = ("baseline-search", "table", "macs", "memory", "sensitivity")  # Before any evaluation.


def write(run: Run, folder: Path) -> list[Path]:
    """Write `convergence.png` and `convergence.svg`; returns their paths.

    Raises:
        StrategyError: nothing has been scored yet.
    """
    everything, baselines, found = curves(run)
    if not everything[0]:
        raise StrategyError(f"{run.folder}: no strategy has been scored yet")
    most = max(everything[0])
    unit, divisor = ("h", 3600.0) if most > 7200 else ("min", 60.0)
    with styled():
        figure, axes = plt.subplots(figsize=(3.5, 2.7), layout="constrained")
        for label, colour, (times, volumes) in (
            ("search", BLUE, everything),
            ("its baselines alone", GREEN, baselines),
        ):
            if times:
                times, volumes = [*times, most], [*volumes, volumes[-1]]
                scaled = [time / divisor for time in times]
                axes.plot(
                    scaled, volumes, color=colour, drawstyle="steps-post", linewidth=1.2,
                    label=label,
                )  # fmt: skip
        if found is not None:
            axes.axvline(found / divisor, color=GREY, linewidth=0.8, linestyle=":")
            axes.annotate(
                " seeds end", (found / divisor, 0), xycoords=("data", "axes fraction"),
                xytext=(2, 3), textcoords="offset points", color=GREY, fontsize=7,
            )  # fmt: skip
        axes.set_xlabel(f"device time, {unit}")
        axes.set_ylabel("hypervolume, share of the box")
        axes.set_xlim(left=0)
        axes.grid(visible=True)
        figure.legend(loc="outside upper center", ncols=2)
        return save(figure, folder, "convergence")


Curve = tuple[list[float], list[float]]


def curves(run: Run) -> tuple[Curve, Curve, float | None]:
    """Device seconds and hypervolume after each evaluation: of everything, of the baselines alone.

    Returns:
        Both, and the seconds at which the last seed was finished if more came after it.
    """
    worst, rows = reference(run.study), run.study.evaluations
    if worst is None:
        return ([], []), ([], []), None
    most = max((row.images for row in rows if row.feasible), default=0)
    known = (run.study.noted(f"{SECONDS}{name}") for name in FIRST)
    spent = float(sum(seconds or 0.0 for seconds in known))
    mine, rivals = Best(), Best()
    everything, baselines = ([], []), ([], [])  # type: tuple[Curve, Curve]
    seeds_end: float | None = None
    for row in rows:
        spent += row.seconds
        if row.origin != run.config.proposer:
            seeds_end = spent
        if row.images < most:
            continue
        for best, curve, counts in (
            (mine, everything, True),
            (rivals, baselines, row.origin in BASELINES or not row.strategy.methods),
        ):
            if counts:
                best.add(row)
                curve[0].append(spent)
                curve[1].append(best.hypervolume(worst))
    return everything, baselines, seeds_end if seeds_end != spent else None
