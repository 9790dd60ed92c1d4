"""Rendering of the page: template, styles, scripts and data in one file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from search.objectives.labels import score_text, short, title
from search.results import method_gain
from search.results.plots import pareto
from search.results.report import heatmaps as strips
from search.results.report import method_worth as methods
from search.results.report import run_details as facts
from search.results.report.convergence_data import growth
from search.results.report.entries import (
    ReportEntry,
    as_data,
    behaviour_words,
    collect_entries,
    headline,
    interval_words,
    solver_and_steps,
)
from search.results.report.gallery_data import gallery_pictures
from search.results.report.importance_view import importance_view as shown_importance
from search.results.report.scatter_data import groups, panels
from search.results.run import Run
from search.study.evaluation import strategy_kind
from strategies.data_files.finite import finite
from strategies.data_files.whole import write as write_file

FILE = "report.html"
SCRIPTS = ("actions.js", "charts.js", "gallery.js", "main.js")


def write(run: Run, folder: Path, name: str = FILE) -> Path:
    """Write the page to a folder; returns its path.

    Raises:
        StrategyError: nothing has been scored yet, or it cannot be written.
    """
    path = folder / name
    write_file(render_page(run), path)
    return path


def render_page(run: Run) -> str:
    """The page as text.

    Raises:
        StrategyError: nothing has been scored yet.
    """
    rows = collect_entries(run)
    data = {
        "groups": groups(),
        "panels": panels(run, rows),
        "strategies": as_data(run, rows),
        "gallery": gallery_pictures(run, rows),
        "growth": growth(run),
    }
    points = run.front()
    return fill(
        "page.html",
        run=run,
        caption=pareto.plot_caption(run, points),
        headline=facts.gain_sentence(run),
        summary=facts.page_summary(run),
        unpaid=method_gain.no_method_line(run),
        rows=[_line(run, one) for one in rows],
        columns=[short(name) for name in _columns(run)],
        margins=_margins(run),
        images=max((one.judged for one in points), default=0) or run.config.heldout_images,
        titles=[(short(name), title(name)) for name in _columns(run)],
        maps=strips.schedules(run, rows),
        importance=shown_importance(run),
        uses=methods.uses(run),
        taken_out=methods.taken_out(run),
        judged=[title(name) for name in methods.quality_scores(run)],
        failed=facts.failed_rows(run),
        latency=facts.latency(run),
        setting=facts.run_setting(run),
        command=facts.start_command(run),
        settings=facts.config_rows(run),
        gallery=data["gallery"],
        growth=data["growth"],
        palette=strips.palette(),
        data=finite(data),
        scripts=[Markup(template_text(name)) for name in SCRIPTS],
        plotly=Markup(get_plotlyjs()),
    )


def fill(template: str, **values: Any) -> str:
    """A page made of a template and its values; `style` is there for all."""
    environment = Environment(
        loader=FunctionLoader(template_text), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(
        style=Markup(template_text("report.css")), **values
    )


def template_text(name: str) -> str:
    """A template, style or script of the page."""
    return (resources.files("search.results.report") / "templates" / name).read_text(
        encoding="utf-8"
    )


def _columns(run: Run) -> list[str]:
    own = run.config.metric_set.lossless_metric
    names = ["speedup", *run.config.objectives, *([own] if own is not None else [])]
    return list(dict.fromkeys([*names, *run.config.metric_set.reported_scores]))


def unaccelerated_setting(run: Run) -> str:
    """Solver and steps of the unaccelerated pipeline."""
    model = run.config.model
    return f"{model.scheduler.removesuffix('Scheduler')} {model.steps}"


def _line(run: Run, one: ReportEntry) -> dict[str, Any]:
    """A row of the table of strategies."""
    cells = []
    for name in _columns(run):
        known = name in one.scores
        change = one.point.intervals.get(f"{name}_change") if one.point else None
        cells.append(
            {
                "text": score_text(name, one.scores[name]) if known else "",
                "more": f"change {interval_words(name, change, signed=True)}" if change else "",
            }
        )
    return {
        "key": one.key,
        "group": one.group,
        "kind": _kind(run, one),
        "front": one.on_front,
        "headline": headline(one),
        "labels": one.labels,
        "setting": solver_and_steps(one) if one.point else unaccelerated_setting(run),
        "words": behaviour_words(one),
        "cells": cells,
        "no_loss": _answer(one),
        "why": one.point.verdict.reasons if one.point and one.point.verdict else [],
        "file": one.point is not None,
    }


def _kind(run: Run, one: ReportEntry) -> str:
    """Kind of a strategy: found by the search, initial or baseline."""
    if one.point is None:
        return ""
    return strategy_kind(one.point.origin, one.point.strategy, run.config.proposer)


def _answer(one: ReportEntry) -> str:
    """Verdict on a loss; empty for the unaccelerated pipeline."""
    if one.point is None:
        return ""
    return one.point.no_loss or "not tested"


def _margins(run: Run) -> list[tuple[str, str]]:
    """Scores and the margins of their loss."""
    return [
        (name, "no margin" if margin is None else f"{margin:g}")
        for name, margin in run.config.all_margins.items()
    ]
