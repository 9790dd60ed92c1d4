"""`python -m search export`: strategy files of the front, written again."""

from __future__ import annotations

import argparse
from pathlib import Path

from search.commands import run_options as reading
from search.commands.front_rows import point_row
from search.results import folder_swap as exchange
from search.results.run import NO_LOSS, named_points
from strategies import StrategyError
from strategies.commands.result_output import ResultOutput
from strategies.data_files.whole import refused


def main(arguments: list[str]) -> int:
    """Write the files; returns the exit code."""
    flags = reading.parser(
        "export",
        "Without --count the files are the exported front. A search that is not finished has its "
        "front so far. With --count they are points of the search's own front, with the scores on "
        "its own prompts.",
        ["RUN --out strategies", "RUN --out more --count 20"],
    )
    flags.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder to write to; must be empty",
    )
    flags.add_argument(
        "--count",
        type=int,
        metavar="N",
        help="largest number of strategies; they are those that dominate most together",
    )
    flags.add_result_flags("a list of the files with their scores", "one row for each file")
    given = flags.parse_args(arguments)
    if given.count is not None and given.count < 1:
        raise StrategyError(f"--count is {given.count}; give at least 1")
    with ResultOutput(given) as result:
        return _export(given, result)


def _export(given: argparse.Namespace, result: ResultOutput) -> int:
    from search.results import export  # Loads pandas and matplotlib.

    run = reading.read_run(given)
    points = run.front() if given.count is None else run.search_front(given.count)
    try:
        if given.out.is_dir() and any(given.out.iterdir()):
            raise StrategyError(f"{given.out} is not empty; give another --out")
    except OSError as error:
        raise refused(given.out, error) from None
    with exchange.stage(given.out, given.out) as new:
        written = export.write_strategy_files(run, points, new)
        exchange.put(new, given.out)
    labels = named_points(points)
    labels |= {export.FORMERLY: labels[NO_LOSS]} if NO_LOSS in labels else {}
    chosen = [*points, *(labels[path.stem] for path in written[len(points) :])]
    rows = [
        {"file": str(given.out / path.name)} | point_row(point)
        for path, point in zip(written, chosen, strict=True)
    ]
    result.write(rows, rows)
    split = "held-out" if points and points[0].prompts == "heldout" else "search's"
    print(f"{len(written)} files in {given.out}, of {len(points)} strategies; {split} prompts")
    return 0
