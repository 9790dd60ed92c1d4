"""Style of the plots: fonts of papers, colours that colour-blind readers can tell apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import font_manager, ticker
from matplotlib import pyplot as plt
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from strategies.data_files import whole

plt.switch_backend("Agg")

# Okabe & Ito's.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, GREY = "#CC79A7", "#7F7F7F"
FONTS = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")  # The first that is there.
SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    # Text stays text, so that it can be searched and set in the paper's own font.
    "svg.fonttype": "none",
    "savefig.dpi": 300,
}


@contextmanager
def styled() -> Iterator[None]:
    """Use this style for plots made inside the block."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    names = [name for name in FONTS if name in known]
    with plt.rc_context(SETTINGS | {"font.sans-serif": names}):
        yield


def save_plot(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `NAME.png` and `NAME.svg`, and close the figure."""
    paths = [folder / f"{name}.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        whole.write(rendered(figure, path.suffix[1:]), path)
        figure.set_layout_engine("none")  # Everything keeps the place that it has now.
    plt.close(figure)
    return paths


def rendered(figure: Figure, form: str) -> bytes:
    """Content of a figure's file, in the format `png` or `svg`."""
    content = io.BytesIO()
    figure.savefig(content, format=form)
    return content.getvalue()


def logarithmic_ticks(axis: Axis) -> None:
    """A few round ticks in every decade, as numbers instead of powers."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high > 20 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axis.set_major_locator(ticker.LogLocator(subs=subs))
    axis.set_minor_locator(ticker.NullLocator())
    plain_ticks(axis)


def plain_ticks(axis: Axis) -> None:
    """Numbers instead of powers."""
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
