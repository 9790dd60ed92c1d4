"""The command line: `python -m search`."""

from __future__ import annotations

import sys

from search.commands import run
from strategies import StrategyError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return run.main(given)
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
