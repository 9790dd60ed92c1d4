"""`python -m search`: run a search, or continue one."""

from __future__ import annotations

from search.commands.flags.values import limits
from search.commands.options import parser
from search.interruption import Ending


def main(arguments: list[str]) -> int:
    """Run the search that the arguments describe; returns the exit code."""
    constraints, rest = limits(arguments)
    flags = parser().parse_args(rest)
    flags.constraints, flags.given = constraints or None, arguments
    with Ending() as ending:
        from search.commands.session import run  # Loads torch and diffusers, which takes seconds.

        return run(flags, ending)
