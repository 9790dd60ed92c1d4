"""`python -m benchmarks list | run NAME [arguments] | report`, from the repository's root."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.registry import BENCHMARKS, FOLDER, Benchmark, find
from strategies.commands.interrupts import run_interruptible

ROOT = FOLDER.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    flags, rest = parser().parse_known_args(arguments)
    if flags.command == "run":
        return run(flags.name, flags.cpu, [one for one in rest if one != "--"])
    if rest:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if flags.command == "report":
        return write(flags.check)
    listed()
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="what can be measured, and what has been")
    one = commands.add_parser("run", help="measure; further arguments go to the script")
    one.add_argument("name", choices=[b.name for b in BENCHMARKS], metavar="NAME")
    one.add_argument(
        "--cpu", action="store_true", help="with the arguments that fit a machine without a GPU"
    )
    page = commands.add_parser("report", help="write docs/benchmarks.md from the results")
    page.add_argument("--check", action="store_true", help="only say whether it is up to date")
    return made


def run(name: str, cpu: bool, arguments: list[str]) -> int:
    """Run a script in a process of its own."""
    found = find(name)
    given = [*(found.cpu if cpu else ()), *arguments]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", found.module, *given]
    return subprocess.run(command, env=environment, check=False).returncode


def listed() -> None:
    table = Table(box=None, header_style="bold")
    for name in ("benchmark", "measures", "measured on", "needs"):
        table.add_column(name, overflow="fold", no_wrap=name == "benchmark")
    for one in BENCHMARKS:
        table.add_row(one.name, one.about, ", ".join(devices(one)), one.needs)
    Console().print(table)


def devices(one: Benchmark) -> list[str]:
    """Devices of the results that are there."""
    told = [report.device(json.loads(path.read_text("utf-8"))) for path in one.files]
    return list(dict.fromkeys(told))


def write(check: bool) -> int:
    text, target = report.page(), ROOT / "docs" / "benchmarks.md"
    current = target.read_text("utf-8") if target.exists() else ""
    if check:
        print("up to date" if text == current else f"{target} differs; run the report")
        return int(text != current)
    target.write_text(text, encoding="utf-8")
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
