"""`python -m search status`: status of a search."""

from __future__ import annotations

from dataclasses import asdict

from search.commands import run_options as reading
from search.results.run import NO_LOSS, Run, named_points
from search.results.status import SearchStatus, duration, search_status
from search.study.archive import ParetoArchive
from strategies.commands.result_output import ResultOutput


def main(arguments: list[str]) -> int:
    """Print the status of a run; returns the exit code."""
    flags = reading.parser(
        "status",
        "Reads the study only. The search may be running, interrupted or finished.",
        ["runs/tiny-sd-20260101-120000", "RUN --json", "RUN --storage postgresql://me:pw@host/db"],
    )
    flags.add_result_flags("the status, seconds unrounded", "one row")
    given = flags.parse_args(arguments)
    with ResultOutput(given) as result:
        run = reading.read_run(given)
        standing = search_status(run.config, run.study, ParetoArchive())
        found = {"state": run.state} | asdict(standing)
        result.write(found, [found])
        if not result.alone:
            for name, value in status_text(run, standing).items():
                print(f"{name:>15}  {value}")
    return 0


def status_text(run: Run, standing: SearchStatus) -> dict[str, str]:
    """Status as names and texts."""
    config = run.config
    found = {
        "run": str(run.folder),
        "state": run.state,
        "search": f"{config.model.name} by {config.proposer}: {', '.join(config.objectives)}",
        **standing.as_text(),
    }
    if run.finals:
        passed = named_points(run.front()).get(NO_LOSS)
        found["exported front"] = str(len(run.front()))
        found.pop("fastest as good", None)
        found["no loss"] = (
            f"{passed.scores['speedup']:.2f}x, on held-out prompts"
            if passed
            else "not shown of any"
        )
    if run.state == "running" and standing.left is not None:
        found["left"] = f"about {duration(standing.left)}"
    return found
