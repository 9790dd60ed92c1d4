"""`python -m search`: run a search, or continue one."""

from __future__ import annotations

from accel.models.config import is_config
from search.commands.flags.values import limits
from search.commands.options import parser
from search.interruption import Ending
from strategies.commands.result_output import STANDARD, ResultOutput
from strategies.errors import StrategyError


def main(arguments: list[str]) -> int:
    """Run the search that the arguments describe; returns the exit code."""
    constraints, rest = limits(arguments)
    flags = parser().parse_args(rest)
    flags.constraints, flags.given = constraints or None, arguments
    if flags.json == STANDARD == flags.log_json or flags.csv == STANDARD == flags.log_json:
        raise StrategyError(
            "the result and --log-json - both ask for standard output; give one of them a file"
        )
    if flags.csv is not None and flags.dry_run:
        raise StrategyError("--csv is the front, and --dry-run makes none; give --json")
    if flags.model is not None:
        is_config(flags.model)  # A misspelt name is told before torch is imported.
    with ResultOutput(flags) as result, Ending() as ending:
        from search.commands.session import (
            run_search,
        )  # Loads torch and diffusers, which takes seconds.

        return run_search(flags, ending, result)
