"""`python -m search front`: the front as a table."""

from __future__ import annotations

from rich.table import Table

from search.commands import run_options as reading
from search.commands.front_rows import front_data, point_row
from search.objectives.labels import score_text, short, title
from search.results.run import FrontPoint, Run
from strategies import describe
from strategies.commands import terminal_tables
from strategies.commands.result_output import ResultOutput


def main(arguments: list[str]) -> int:
    """Print the front; returns the exit code."""
    flags = reading.parser(
        "front",
        "The front is the exported one, scored on held-out prompts. An unfinished search has its "
        "front so far, scored on the search's own prompts.",
        ["RUN", "RUN --csv > front.csv", "RUN --json | jq '.rows[0]'"],
    )
    flags.add_result_flags(
        "scores, intervals and strategies", "one row for each strategy with every score"
    )
    reading.add_margin(flags)
    given = flags.parse_args(arguments)
    with ResultOutput(given) as result:
        run = reading.with_margins(reading.read_run(given), given.margin)
        points = run.front()
        result.write(front_data(run, points), map(point_row, points))
        if not result.alone:
            terminal_tables.console().print(reading.heading(run), highlight=False)
            terminal_tables.console().print(front_table(run, points))
            for note in _notes(run, points):
                terminal_tables.console().print(note, highlight=False)
    return 0


def front_table(run: Run, points: list[FrontPoint]) -> Table:
    """The front as people read it: one row for each strategy, fastest first."""
    made = Table(box=None, padding=(0, 1), header_style="bold")
    names = ["speedup", *run.config.objectives]
    made.add_column("", justify="right", no_wrap=True)
    for name in names:
        made.add_column(short(name), justify="right")
    made.add_column("no loss")
    made.add_column("solver, steps")
    made.add_column("what it does", overflow="fold")
    for index, point in enumerate(points, 1):
        strategy = point.strategy
        made.add_row(
            str(index),
            *(score_text(name, point.scores[name]) for name in names),
            point.no_loss or "?",
            f"{strategy.short_solver} {strategy.steps}",
            "\n".join(describe.summary(strategy)) if strategy.methods else "fewer steps",
        )
    return made


def _notes(run: Run, points: list[FrontPoint]) -> list[str]:
    """Notes that are needed to read the table."""
    found = [f"{name}: {title(name)}" for name in run.config.objectives if short(name) == name]
    if points and points[0].prompts == "search":
        found.append("no loss: tested on held-out prompts when the search is finished")
    elif points and points[0].verdict is None:
        found.append("no loss: by the metrics of this search every change is a loss")
    for index, point in enumerate(points, 1):
        if point.verdict is not None and point.verdict.reasons:
            found.append(f"{index}, no loss {point.no_loss}: {'; '.join(point.verdict.reasons)}")
    return found
