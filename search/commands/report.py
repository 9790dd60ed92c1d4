"""`python -m search report`: the run as one page for a browser."""

from __future__ import annotations

from pathlib import Path

from search.commands import run_options as reading
from strategies.commands.result_output import ResultOutput
from strategies.data_files.whole import make_folder


def main(arguments: list[str]) -> int:
    """Write the page; returns the exit code."""
    flags = reading.parser(
        "report",
        "The page has the front, images, the work at each call, convergence and settings. It is "
        "one file and needs no network. Every finished search writes it.",
        ["RUN", "RUN --out FOLDER", "RUN --out mine.html"],
    )
    flags.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER|FILE",
        help="folder for report.html, or a file whose name ends with .html (default: RUN)",
    )
    reading.add_margin(flags)
    flags.add_result_flags("the page's file", "one row")
    given = flags.parse_args(arguments)
    from search.results import report  # Loads matplotlib and scikit-learn.

    with ResultOutput(given) as result:
        run = reading.with_margins(reading.read_run(given), given.margin)
        target = given.out or given.run
        if target.suffix.lower() not in (".html", ".htm") or target.is_dir():
            target = target / report.FILE
        make_folder(target.parent)
        page = report.write(run, target.parent, target.name)
        found = {"file": str(page)}
        result.write(found, [found])
        print(page)
    return 0
