"""`python -m search plot`: plots for papers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from search.commands import run_options as reading
from strategies.commands.result_output import ResultOutput
from strategies.data_files.whole import make_folder

PICTURES = ("pareto", "convergence", "schedules")


def main(arguments: list[str]) -> int:
    """Write the plots; returns the exit code."""
    flags = reading.parser(
        "plot",
        "pareto: the front and its baselines, on held-out prompts if the search is finished. "
        "convergence: hypervolume over device time. schedules: the work at each call.",
        ["RUN", "RUN --out figures --only schedules"],
    )
    flags.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder to write to (default: RUN)"
    )
    flags.add_argument("--only", choices=PICTURES, metavar="NAME", help=", ".join(PICTURES))
    flags.add_result_flags("a list of the files", "one row for each file")
    given = flags.parse_args(arguments)
    with ResultOutput(given) as result:
        run = reading.read_run(given)
        folder = given.out or given.run
        make_folder(folder)
        rows = list[dict[str, str]]()
        for name in PICTURES:
            if given.only in (None, name):
                picture = import_module(f"search.results.plots.{name}")
                paths = picture.write(run, folder)
                rows += [{"plot": name, "file": str(path)} for path in paths]
                print(*paths, sep="\n")
        result.write(rows, rows)
    return 0
