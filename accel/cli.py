"""The command line: `python -m accel`. Asking for help needs no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from accel.commands import early_checks
from accel.commands.parsers import parser
from strategies import StrategyError
from strategies.commands.interrupts import stopped
from strategies.commands.result_output import ResultOutput

__all__ = ["main", "parser"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    flags = parser().parse_args(arguments)
    try:
        with ResultOutput(flags) as result:
            return _command(flags)(flags, result)
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return stopped()
    except BrokenPipeError:  # The reader of our lines, such as head, has closed.
        sys.stderr.close()
        return 0


def _command(flags: argparse.Namespace) -> Callable[[argparse.Namespace, ResultOutput], int]:
    """Function that carries out a command; its import loads torch and diffusers.

    Raises:
        StrategyError: a mistake in the flags that is found without them.
    """
    if flags.command == "calibrate":
        early_checks.check_calibrate(flags)
        from accel.commands.calibrate import calibrate

        return calibrate
    early_checks.check_generate(flags)
    from accel.commands.generate_command import generate_command

    return generate_command
