"""The command line: `python -m evaluate`. Asking for help needs no torch."""

from __future__ import annotations

import argparse
import sys

from evaluate.commands import early_checks
from evaluate.commands.parsers import score_parser, transfer_parser
from strategies import StrategyError
from strategies.commands.interrupts import stopped
from strategies.commands.result_output import ResultOutput

TRANSFER = "transfer"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    moves = given[:1] == [TRANSFER]
    flags = transfer_parser().parse_args(given[1:]) if moves else score_parser().parse_args(given)
    try:
        return _run(flags, moves)
    except BrokenPipeError:  # The reader of our lines, such as head, has closed.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return stopped("stopped; the same command continues with the images generated so far")


def _run(flags: argparse.Namespace, moves: bool) -> int:
    try:
        early_checks.check_score_flags(flags, moves)
    except StrategyError as error:
        return _failed(error)
    # These load torch and diffusers.
    from evaluate.commands.score import score_command
    from evaluate.commands.transfer import transfer_command
    from evaluate.images.generation import NotFiniteError
    from evaluate.statistics.gaussian import ScoreError

    try:
        with ResultOutput(flags) as result:
            return (transfer_command if moves else score_command)(flags, result)
    except (StrategyError, ScoreError, NotFiniteError) as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    """Print what is wrong; returns the exit code."""
    print(f"error: {error}", file=sys.stderr)
    return 2
