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
from strategies.commands.result_output import ResultOutput


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["transfer"]:
        flags = transfer.parser().parse_args(given[1:])
        return _guarded(flags, transfer.transfer_command)
    flags = score.parser().parse_args(given)
    return _guarded(flags, score.score_command)


def _guarded(
    flags: argparse.Namespace, work: Callable[[argparse.Namespace, ResultOutput], int]
) -> int:
    try:
        with ResultOutput(flags) as result:
            return work(flags, result)
    except (StrategyError, ScoreError, NotFiniteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # The reader of our lines, such as head, has closed.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return stopped("stopped; the same command continues with the images generated so far")
