"""The command line: `python -m evaluate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from evaluate.commands import score, transfer
from evaluate.images.generation import NotFiniteError
from evaluate.statistics.gaussian import ScoreError
from strategies import StrategyError
from strategies.commands.interrupts import stopped
from strategies.data_files import whole


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["transfer"]:
        flags = transfer.parser().parse_args(given[1:])
        return _guarded(flags, lambda: transfer.run(flags))
    flags = score.parser().parse_args(given)
    return _guarded(flags, lambda: score.run(flags))


def _guarded(flags: argparse.Namespace, work: Callable[[], int]) -> int:
    try:
        for path in (flags.json, flags.csv):
            if path is not None:
                whole.check(path)
        return work()
    except (StrategyError, ScoreError, NotFiniteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return stopped("stopped; the same command continues with the images generated so far")
