"""The console command `stratagem`: all command lines under one name."""

from __future__ import annotations

import runpy
import sys
from importlib.metadata import PackageNotFoundError, version

from strategies.commands.extras import DISTRIBUTION
from strategies.text import plain
from strategies.words import did_you_mean

# Command to its module, the words before its own arguments, and its purpose.
COMMANDS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "generate": ("accel", ("generate",), "generate images with a strategy"),
    "calibrate": ("accel", ("calibrate",), "plan block caching from measured changes"),
    "strategies": ("strategies", (), "list, show, check and convert strategies"),
    "evaluate": ("evaluate", (), "score strategies and measure their speed"),
    "search": ("search", (), "search for strategies"),
    "status": ("search", ("status",), "show where a search stands"),
    "front": ("search", ("front",), "show the front of a search as a table"),
    "pick": ("search", ("pick",), "choose one strategy of a front"),
    "compare": ("search", ("compare",), "compare the fronts of several runs"),
    "view": ("search", ("view",), "look at a front with prompts of your own"),
    "report": ("search", ("report",), "write a run as one page for a browser"),
}
NAME = "stratagem"


def main() -> None:
    """Run one command as `python -m` would, in this process; ends the process."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        sys.exit(0)
    if words[0] == "--version":
        print(f"{NAME} {_version()}")
        sys.exit(0)
    if words[0] not in COMMANDS:
        names = ", ".join(COMMANDS)
        hint = did_you_mean(words[0], COMMANDS)
        print(f"error: {plain(words[0])!r} is no command; there are {names}{hint}", file=sys.stderr)
        sys.exit(2)
    module, before, _ = COMMANDS[words[0]]
    sys.argv[1:] = [*before, *words[1:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {about}" for name, (_, _, about) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {NAME} COMMAND ...",
            "",
            "Make diffusion pipelines faster without training.",
            "",
            "commands:",
            *rows,
            "",
            f"{NAME} COMMAND --help has the flags of a command.",
        ]
    )


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "not installed"
