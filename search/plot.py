"""The picture of the front: quality against latency, with every rival in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from search.figures import title
from search.finalists import Final

if TYPE_CHECKING:
    from search.engine import Engine

plt.switch_backend("Agg")

# Okabe & Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"


def plot(engine: Engine, finals: list[Final], best: list[Final], folder: Path) -> None:
    """Write `pareto.png` and `pareto.svg`: every view of quality, on held-out prompts."""
    names = _panels(engine)
    size = (5.5 * len(names), 4.6)
    figure, grid = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    plain = next(final for final in finals if final.role == "unaccelerated")
    for axes, name in zip(grid[0], names, strict=True):
        _panel(axes, finals, best, name)
        axes.set_ylabel(title(name))
        if name == engine.figures.yardstick:
            axes.axhline(plain.scores[name], color=GREY, linewidth=1, linestyle=":")
    grid[0, 0].legend(frameon=False)
    model = engine.config.model
    images = engine.config.heldout_images
    figure.suptitle(
        f"{model.name}: {images} held-out prompts, {model.height} x {model.width}, "
        f"{model.scheduler.removesuffix('Scheduler')} {model.steps} steps unaccelerated"
    )
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"pareto.{suffix}", dpi=150)
    plt.close(figure)


def _panels(engine: Engine) -> list[str]:
    """The first objective of quality, and the figure that shows a loss."""
    figures = engine.figures
    found = [name for name in (figures.quality, figures.yardstick) if name is not None]
    return list(dict.fromkeys(found)) or ["psnr"]


def _panel(axes: Axes, finals: list[Final], best: list[Final], metric: str) -> None:
    groups = [
        (
            "fewer steps",
            GREEN,
            "^",
            [f for f in finals if f.role == "baseline" and f.origin != "grid"],
        ),
        ("uniform schedules", ORANGE, "s", [f for f in finals if f.origin == "grid"]),
        ("unaccelerated", "black", "*", [f for f in finals if f.role == "unaccelerated"]),
    ]
    mine = [f for f in best if f.role == "front"]
    axes.plot(
        [f.scores["latency_s"] * 1000 for f in best],
        [f.scores[metric] for f in best],
        color=BLUE,
        linewidth=1,
        alpha=0.5,
    )
    for label, colour, marker, rows in [("Stratagem", BLUE, "o", mine), *groups]:
        if not rows:
            continue
        axes.scatter(
            [f.scores["latency_s"] * 1000 for f in rows],
            [f.scores[metric] for f in rows],
            c=colour,
            marker=marker,
            s=70 if marker == "*" else 36,
            label=label,
            zorder=3,
        )
    axes.set_xscale("log")
    axes.set_xlabel("latency of one image, ms")
    if metric.endswith("_base"):
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=min(0.0, *(f.scores[metric] for f in finals)))
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
