"""Results for programs: `--json` and `--csv`, in one form for every command that has a result.

    --json          the result as JSON on standard output, which then holds nothing else
    --json=FILE     the same in a file; the terminal shows what it shows without the flag

`--csv` gives the rows of the result's table in the same way. The equals sign keeps a file apart
from the arguments of a command: `show --json NAME` prints the strategy NAME.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TextIO

from strategies.data_files import whole
from strategies.data_files.finite import finite
from strategies.errors import StrategyError
from strategies.text import plain
from strategies.words import did_you_mean

FORMS = ("json", "csv")
STANDARD = "-"  # Standard output in the place of a file.


class CommandParser(argparse.ArgumentParser):
    """Parser of a command line whose result flags take a file after an equals sign only.

    Args:
        settings: arguments of `argparse.ArgumentParser`.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._result_flags: list[str] = []
        self._spaced = False

    def add_result_flags(
        self, result: str, table: str | None = None, group: Any = None, spaced: bool = False
    ) -> None:
        """Add `--json`, and `--csv` if the result has a table.

        Args:
            result: content of the JSON.
            table: row of the CSV, such as "one row for each strategy".
            group: group of the help text.
            spaced: whether a file after a space, the form of version 0.1, still works.
        """
        self._spaced = spaced
        about = {"json": result, "csv": table}
        for form, content in about.items():
            if content is not None:
                self._result_flags.append(f"--{form}")
                (group or self).add_argument(
                    f"--{form}",
                    nargs="?",
                    const=STANDARD,
                    metavar="FILE",
                    help=f"print {form.upper()} and nothing else, or write it to FILE: {content}",
                )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; see `argparse.ArgumentParser.parse_known_args`."""
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(self._joined(words), namespace)

    def _joined(self, words: list[str]) -> list[str]:
        """Arguments in which every result flag has its value after an equals sign."""
        found, left = list[str](), list(words)
        while left and left[0] != "--":
            word = left.pop(0)
            if word not in self._result_flags:
                found.append(word)
                continue
            target = STANDARD
            if self._spaced and left and not left[0].startswith("-"):
                target = left.pop(0)
                print(
                    f"note: {word} FILE is now {word}=FILE; the next release takes the new form "
                    "alone",
                    file=sys.stderr,
                )
            found.append(f"{word}={target}")
        return [*found, *left]

    def error(self, message: str) -> NoReturn:
        """Print the usage and an error with the nearest allowed word; ends the process."""
        super().error(message + self._nearest(message))

    def _nearest(self, message: str) -> str:
        """The nearest flag to an unknown one, or the nearest choice to a wrong one."""
        unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown:
            return did_you_mean(unknown[1], _flags(self))
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        return did_you_mean(wrong[1], re.findall(r"[\w.:+-]+", wrong[2])) if wrong else ""

    def format_usage(self) -> str:
        """Short help text."""
        return _with_equals(super().format_usage())

    def format_help(self) -> str:
        """Help text."""
        return _with_equals(super().format_help())


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    """Flags of a parser and of all its commands."""
    found = []
    for action in parser._actions:
        found += [flag for flag in action.option_strings if flag.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            found += [flag for one in action.choices.values() for flag in _flags(one)]
    return found


def _with_equals(text: str) -> str:
    for form in FORMS:
        text = text.replace(f"--{form} [FILE]", f"--{form}[=FILE]")
    return text


class ResultOutput:
    """Output of a command's result, as its flags ask for it.

    Inside a `with` block, lines for people go to standard error if a program reads standard output.

    Args:
        flags: parsed flags; without result flags nothing is written.

    Attributes:
        alone: whether standard output holds the result alone.

    Raises:
        StrategyError: a file cannot be written, or two results have one place.
    """

    def __init__(self, flags: argparse.Namespace) -> None:
        given = {form: getattr(flags, form, None) for form in FORMS}
        self._targets = {form: str(place) for form, place in given.items() if place is not None}
        if len(set(self._targets.values())) < len(self._targets):
            raise StrategyError(
                "--json and --csv have one place; give one of them a file of its own: --csv=FILE"
            )
        self.alone = STANDARD in self._targets.values()
        for form, place in self._targets.items():
            if not place:
                raise StrategyError(
                    f"--{form}= names no file; give --{form}=FILE, or --{form} for standard output"
                )
            if place != STANDARD:
                whole.check_writable(Path(place))
        self._standard: TextIO = sys.stdout
        self._redirected = ExitStack()

    def __enter__(self) -> Self:
        self._standard = sys.stdout
        if self.alone:
            self._redirected.enter_context(redirect_stdout(sys.stderr))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._redirected.close()

    def write(self, data: Any, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Write what the flags ask for.

        Args:
            data: the whole result, plain JSON.
            rows: rows of its table; their columns may differ.

        Raises:
            StrategyError: a file cannot be written.
        """
        if "json" in self._targets:
            self._put(self._targets["json"], lambda stream: _write_json(data, stream))
        if "csv" in self._targets:
            self._put(self._targets["csv"], lambda stream: _write_csv(list(rows), stream))

    def _put(self, place: str, write: Any) -> None:
        if place == STANDARD:
            write(self._standard)
            return
        text = io.StringIO()
        write(text)
        whole.write(text.getvalue(), Path(place))


def _write_json(data: Any, stream: TextIO) -> None:
    # Written part by part: as one text it takes many times the memory of the data.
    json.dump(finite(data), stream, indent=2, allow_nan=False)
    stream.write("\n")


def _write_csv(rows: list[Mapping[str, Any]], stream: TextIO) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    """A value in one cell: text without control characters, lists and mappings as JSON."""
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(finite(value))
    return plain(value) if isinstance(value, str) else value
