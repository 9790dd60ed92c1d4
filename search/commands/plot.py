"""`python -m search plot`: plots for papers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from search.commands import run_options as reading
from strategies.data_files.whole import make_folder

PICTURES = ("pareto", "convergence", "schedules")


def main(arguments: list[str]) -> int:
    """Write the plots; returns the exit code."""
    flags = reading.parser(
        "plot",
        "pareto: the front with its baselines, on held-out prompts once the search is finished; "
        "convergence: hypervolume over device time; schedules: what runs at each call.",
        ["RUN", "RUN --out figures --only schedules"],
    )
    flags.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder to write to (default: RUN)"
    )
    flags.add_argument("--only", choices=PICTURES, metavar="NAME", help=", ".join(PICTURES))
    given = flags.parse_args(arguments)
    run = reading.read(given)
    folder = given.out or given.run
    make_folder(folder)
    for name in PICTURES:
        if given.only in (None, name):
            picture = import_module(f"search.results.plots.{name}")
            print(*picture.write(run, folder), sep="\n")
    return 0
