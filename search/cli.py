"""The command line: `python -m search`."""

from __future__ import annotations

import errno
import importlib
import sys

from search.commands import COMMANDS
from strategies import StrategyError
from strategies.commands.interrupts import stopped
from strategies.data_files.whole import FAULTS, refused
from strategies.words import did_you_mean


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command, rest = "run", given
    if given and not given[0].startswith("-"):
        command, rest = given[0], given[1:]
    try:
        if command != "run" and command not in COMMANDS:
            raise StrategyError(
                f"{command!r} is no command; there are {', '.join(COMMANDS)}, and flags alone run "
                f"a search{did_you_mean(command, COMMANDS)}"
            )
        code: int = importlib.import_module(f"search.commands.{command}").main(rest)
        return code
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "code", 2)
    except KeyboardInterrupt:
        return stopped()
    except BrokenPipeError:  # What reads our lines, such as head, has seen enough.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in (*FAULTS, errno.EACCES, errno.EPERM):
            raise
        print(f"error: {refused(error.filename or 'standard output', error)}", file=sys.stderr)
        return 2
