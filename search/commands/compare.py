"""`python -m search compare`: fronts, hypervolumes and settings of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from search.commands import run_options as reading
from search.results.comparison.fronts import RunComparison, compare_runs
from search.results.comparison.settings import differing
from search.results.run import load_run
from strategies.commands import terminal_tables
from strategies.commands.result_output import ResultOutput
from strategies.data_files.whole import make_folder


def main(arguments: list[str]) -> int:
    """Print the comparison, and write it if asked to; returns the exit code."""
    flags = reading.parser(
        "compare",
        "The runs must have one model and the same objectives. Scores are on held-out prompts if "
        "all runs are finished. Hypervolumes share one worst point and have intervals.",
        ["RUN RUN", "runs/a runs/b runs/c --out comparison"],
        several=True,
    )
    flags.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write comparison.png, comparison.svg and comparison.html to this folder",
    )
    flags.add_result_flags("the comparison with all points", "one row for each run")
    given = flags.parse_args(arguments)
    from search.results.comparison import tables  # Loads matplotlib.

    with ResultOutput(given) as result:
        found = compare_runs([load_run(folder, given.storage) for folder in given.runs])
        rows = tables.run_rows(found)
        result.write(tables.as_json(found), rows)
        if not result.alone:
            _show(found, rows, tables.reading_notes(found))
        if given.out is not None:
            print(*_write(found, given.out), sep="\n")
    return 0


def _show(found: RunComparison, rows: Sequence[Mapping[str, str]], notes: Sequence[str]) -> None:
    console = terminal_tables.console()
    titles, *columns = [[*rows[0]], *([*row.values()] for row in rows)]
    console.print(_table(columns, titles, ""))
    for line in notes:
        console.print(line, highlight=False)
    differ = differing([one.run for one in found.fronts])
    if differ:
        console.print()
        titles = ["", *(name for name, _ in differ)]
        values = zip(*(values for _, values in differ), strict=True)
        columns = [[one.name, *row] for one, row in zip(found.fronts, values, strict=True)]
        console.print(_table(columns, titles, "what differs"))
    else:
        console.print("All settings, versions and the device are the same.")


def _write(found: RunComparison, folder: Path) -> list[Path]:
    from search.results.comparison import page, plot

    make_folder(folder)
    return [*plot.write(found, folder), page.write(found, folder)]


def _table(columns: Sequence[Sequence[str]], titles: Sequence[str], corner: str) -> Table:
    """A column for each run, so that numbers with intervals stand in one line.

    Args:
        columns: name of each run and its values.
        titles: titles of the rows; the first is that of the names.
        corner: heading of the titles.
    """
    made = Table(box=None, padding=(0, 1), header_style="bold")
    made.add_column(corner)
    for name, *_ in columns:
        made.add_column(name, overflow="fold")
    rows = zip(*(values[1:] for values in columns), strict=True)
    for title, row in zip(titles[1:], rows, strict=True):
        made.add_row(title, *row)
    return made
