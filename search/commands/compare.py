"""`python -m search compare`: fronts, hypervolumes and settings of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from search.commands import run_options as reading
from search.results.comparison.fronts import RunComparison, compare_runs
from search.results.comparison.settings import differing
from search.results.run import read
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
        found = compare_runs([read(folder, given.storage) for folder in given.runs])
        rows = tables.run_rows(found)
        result.write(tables.as_json(found), rows)
        if not result.alone:
            _show(found, rows, tables.notes(found))
        if given.out is not None:
            print(*_write(found, given.out), sep="\n")
    return 0


def _show(found: RunComparison, rows: Sequence[Mapping[str, str]], notes: Sequence[str]) -> None:
    console = terminal_tables.console()
    console.print(_table([*rows[0]], [[*row.values()] for row in rows]))
    for line in notes:
        console.print(line, highlight=False)
    differ = differing([one.run for one in found.fronts])
    if differ:
        console.print()
        names = ["what differs", *(one.name for one in found.fronts)]
        console.print(_table(names, [[name, *values] for name, values in differ]))
    else:
        console.print("All settings, versions and the device are the same.")


def _write(found: RunComparison, folder: Path) -> list[Path]:
    from search.results.comparison import page, plot

    make_folder(folder)
    return [*plot.write(found, folder), page.write(found, folder)]


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    made = Table(box=None, padding=(0, 1), header_style="bold")
    for name in names:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made
