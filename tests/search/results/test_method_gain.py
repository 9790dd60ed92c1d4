"""The line of a search in which no method pays beside fewer steps."""

from __future__ import annotations

import re

import pytest

from search.commands.endings import closing_lines
from search.engine.time_report import PHASES
from search.results import method_gain
from search.results import run as runs
from search.results.report.render import render_page
from search.results.run import Run
from tests.support.runs import fake_runs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished search, in which methods pay."""
    return runs.load_run(fake_runs.finished(tmp_path_factory.mktemp("runs") / "run"))


def without_methods(run: Run) -> Run:
    """The run, as if only strategies without a method had passed the final scoring."""
    kept = [one for one in run.finals if not one.strategy.canonical().methods]
    return Run(run.folder, run.config, run.study, scored=kept)


def test_the_line_is_there_only_where_no_method_pays(run: Run) -> None:
    assert any(point.strategy.canonical().methods for point in run.front())
    assert method_gain.no_method_line(run) == ""
    assert "No method pays" not in render_page(run)
    other = without_methods(run)
    said = method_gain.no_method_line(other)
    assert said in closing_lines.closing_lines(other, dict.fromkeys(PHASES, 1.0), False, "go on")
    assert '<p class="note">No method pays: none of the' in render_page(other)
    (count,) = re.findall(r"none of the (\d+) strategies", said)
    rows = [row for row in run.study.evaluations if row.objectives and row.violation <= 0]
    assert int(count) == sum(bool(row.strategy.canonical().methods) for row in rows)


def test_the_figures_are_of_the_nearest_and_of_what_is_before_it(run: Run) -> None:
    rows = [row for row in run.study.evaluations if row.objectives and row.violation <= 0]
    using = [row for row in rows if row.strategy.canonical().methods]
    plain = [row for row in rows if not row.strategy.canonical().methods]
    near, beside = method_gain._nearest(using, plain)
    assert near in using
    assert beside in plain
    # One that no other dominates is nearer than any that is dominated.
    free = [
        row
        for row in using
        if not any(
            all(b <= a for a, b in zip(row.objectives, other.objectives, strict=True))
            for other in plain
        )
    ]
    assert (near in free) == bool(free)
