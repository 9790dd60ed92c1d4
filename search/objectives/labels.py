"""Titles of metrics and costs, and their values as text for people."""

from __future__ import annotations

from evaluate.metrics import METRICS, VIEWS, Metric
from search.objectives.objectives import higher_is_better

COSTS = {
    "latency_s": ("latency of one image, ms", "{:.1f}", 1e3),
    "macs": ("GMACs of the denoiser", "{:.2f}", 1e-9),
    "memory_bytes": ("peak memory, MB", "{:.0f}", 1e-6),
    "speedup": ("speedup", "{:.2f}x", 1.0),
}


def metric(name: str) -> Metric | None:
    """Metric that gives a score of quality; None for any other name."""
    return next((m for m in METRICS.values() if name in map(m.key, m.views)), None)


def title(name: str) -> str:
    """Title of a metric or cost, with its unit, and with the better direction if that is up."""
    if name in COSTS:
        return COSTS[name][0]
    found = metric(name)
    if found is None:
        return name
    view = next(view for view in found.views if found.key(view) == name)
    words = f"{found.title} {VIEWS[view]}".strip()
    return f"{words} (more is better)" if higher_is_better(name) else words


def short(name: str) -> str:
    """Heading of a column: a cost with its unit, a metric by its name."""
    return {"latency_s": "latency, ms", "macs": "GMACs", "memory_bytes": "MB"}.get(name, name)


def scale(name: str) -> float:
    """Factor from a value to the unit of its title."""
    return COSTS[name][2] if name in COSTS else 1.0


def score_text(name: str, given: float) -> str:
    """A value in the unit of its title, as text."""
    found = metric(name)
    form = COSTS[name][1] if name in COSTS else found.form if found else "{:.4g}"
    return form.format(given * scale(name))
