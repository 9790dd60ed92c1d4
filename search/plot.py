"""The picture of the front: quality against latency, with every rival in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from search.finalists import Final

if TYPE_CHECKING:
    from search.engine import Engine

plt.switch_backend("Agg")

# Okabe & Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"


def plot(engine: Engine, finals: list[Final], best: list[Final], folder: Path) -> None:
    """Write `pareto.png` and `pareto.svg`: both views of quality, on held-out prompts."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    plain = next(final for final in finals if final.role == "unaccelerated")
    _panel(axes[0], finals, best, "fd_base")
    axes[0].set_ylabel("FD to the unaccelerated images")
    _panel(axes[1], finals, best, "fd_real")
    axes[1].axhline(plain.scores["fd_real"], color=GREY, linewidth=1, linestyle=":")
    axes[1].set_ylabel("FD to real images")
    axes[0].legend(frameon=False)
    model = engine.config.model
    images = engine.config.heldout_images
    figure.suptitle(
        f"{model.name}: {images} held-out prompts, {model.height} x {model.width}, "
        f"{model.scheduler.removesuffix('Scheduler')} {model.steps} steps unaccelerated"
    )
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"pareto.{suffix}", dpi=150)
    plt.close(figure)


def _panel(axes: Axes, finals: list[Final], best: list[Final], metric: str) -> None:
    groups = [
        (
            "fewer steps",
            GREEN,
            "^",
            [f for f in finals if f.role == "baseline" and f.origin != "grid"],
        ),
        ("uniform DeepCache x ToMe", ORANGE, "s", [f for f in finals if f.origin == "grid"]),
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
    if metric == "fd_base":
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
