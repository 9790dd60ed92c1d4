"""The command line: `python -m strategies`."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from strategies import StrategyError, describe, dump, load, registered_methods, save
from strategies.commands import preset_listing, space_listing, strategy_rows, terminal_tables
from strategies.commands.interrupts import stopped
from strategies.commands.result_output import CommandParser, ResultOutput
from strategies.data_files.whole import make_folder, write
from strategies.exchange import cache_dit_import
from strategies.exchange.targets import TARGETS
from strategies.plugins import entry_points
from strategies.sharing import hub
from strategies.sharing.provenance import check_provenance, missing_parts
from strategies.strategy import Strategy
from strategies.text import say
from strategies.words import did_you_mean

EXAMPLES = """examples:
  python -m strategies list                             the published presets
  python -m strategies show dato-b1                     what it does at every call
  python -m strategies methods tome                     the knobs of a method
  python -m strategies space --methods deepcache,catome,tgate   the choices of a search with them
  python -m strategies validate runs/*/strategies/*.json
  python -m strategies resample dato-b1 --steps 25 --out dato-25.json
  python -m strategies diff deepcache-n3 deepcache-n5
  python -m strategies export fora-n3 --to cache-dit --out mask.json
  python -m strategies import mask.json --out back.json
  python -m strategies push runs/mine/strategies/*.json --repo me/sd15-strategies
  python -m strategies pull me/sd15-strategies --out found
"""


Command = Callable[[argparse.Namespace, ResultOutput], int]


def parser() -> CommandParser:
    """The commands and their flags."""
    made = CommandParser(
        prog="python -m strategies",
        description="Show, check and convert strategy files and the published presets.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Command, about: str) -> Any:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    one = command("list", _list, "list presets and given files")
    one.add_argument("sources", nargs="*", metavar="NAME|FILE", help="list only these")
    one.add_argument("--family", metavar="F", help="list only those that work on this family")
    one.add_result_flags("a list of the strategies", "one row for each strategy")
    one = command("show", _show, "show one strategy, call by call")
    one.add_argument("source", metavar="NAME|FILE")
    one.add_result_flags("the strategy and its calls", "one row for each span of equal calls")
    one = command("methods", _methods, "show the methods and their knobs")
    one.add_argument("name", nargs="?", metavar="NAME", help="show only this method")
    one.add_result_flags("methods and settings", "one row for each setting")
    one = command("space", _space, "show the genes of a search space, their choices and its size")
    space_listing.add(one)
    one = command("validate", _validate, "check files; exit code 1 if any is bad")
    one.add_argument("files", nargs="+", metavar="FILE")
    one.add_result_flags("a list of the files", "one row for each file")
    one = command("resample", _resample, "convert a strategy to another number of calls")
    one.add_argument("source", metavar="NAME|FILE")
    one.add_argument("--calls", type=int, metavar="N", help="number of calls of the new schedule")
    one.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="number of steps of the new schedule; without --calls, calls change by the same "
        "amount",
    )
    one.add_argument(
        "--scheduler",
        metavar="S",
        help="another solver, by diffusers' class name; give --calls too if its number of calls "
        "differs from its steps (PNDMScheduler makes one call more)",
    )
    one.add_argument("--out", type=Path, metavar="FILE", help="write here, not to the terminal")
    one = command("diff", _diff, "show differences; exit code 0 equal, 1 different")
    one.add_argument("one", metavar="A", help="a preset or file")
    one.add_argument("other", metavar="B", help="a preset or file")
    one.add_result_flags("the differences", "one row for each difference")
    one = command("export", _export, "export a strategy as settings of another tool")
    one.add_argument("source", metavar="NAME|FILE")
    one.add_argument("--to", required=True, choices=list(TARGETS), help="tool to export to")
    one.add_argument("--out", type=Path, metavar="FILE", help="write here, not to the terminal")
    one = command("import", _import, "make a strategy of settings of cache-dit")
    one.add_argument(
        "source",
        metavar="MASK|FILE",
        help="a settings file (.json, .yaml), or a mask: slow, medium, fast, ultra",
    )
    one.add_argument("--family", metavar="F", help="family, if the file does not name it")
    one.add_argument("--scheduler", metavar="S", help="solver, by diffusers' class name")
    one.add_argument("--steps", type=int, metavar="N", help="number of steps")
    one.add_argument("--out", type=Path, metavar="FILE", help="write here, not to the terminal")
    one = command("push", _push, "upload files to a repository of the Hugging Face Hub")
    one.add_argument("files", nargs="+", type=Path, metavar="FILE")
    one.add_argument("--repo", required=True, metavar="NAME", help="owner/name; made if missing")
    one.add_argument("--private", action="store_true", help="make a new repository private")
    one.add_argument("--message", default="", help="message of the commit")
    one.add_result_flags("the commit's address and the files", "one row for each file")
    one = command("pull", _pull, "download and check a repository's strategies")
    one.add_argument("repo", metavar="NAME", help="owner/name")
    one.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder to write to (default: the repository's name)",
    )
    one.add_argument("--revision", help="branch, tag or commit (default: the newest)")
    one.add_result_flags("a list of the files", "one row for each file")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal may lack some of the characters.
            stream.reconfigure(errors="backslashreplace")
    flags = parser().parse_args(arguments)
    try:
        with ResultOutput(flags) as result:
            return int(flags.run(flags, result))
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return stopped()
    except BrokenPipeError:  # The reader of our lines, such as head, has closed.
        sys.stderr.close()
        return 0


def _list(flags: argparse.Namespace, result: ResultOutput) -> int:
    rows = preset_listing.listed(flags.sources, flags.family)
    found = [strategy_rows.strategy_row(*row) for row in rows]
    result.write(found, found)
    if not result.alone:
        terminal_tables.console().print(terminal_tables.listing(row[:2] for row in rows))
    return 0


def _show(flags: argparse.Namespace, result: ResultOutput) -> int:
    strategy = load(flags.source)
    result.write(strategy_rows.strategy_details(strategy), strategy_rows.span_rows(strategy))
    if not result.alone:
        terminal_tables.console().print(terminal_tables.details(strategy, str(flags.source)))
    return 0


def _methods(flags: argparse.Namespace, result: ResultOutput) -> int:
    kinds = registered_methods()
    if flags.name is not None and flags.name not in kinds:
        hint = did_you_mean(flags.name, kinds) + entry_points.left_out("methods", flags.name)
        raise StrategyError(f"method {flags.name!r} is unknown; there are {', '.join(kinds)}{hint}")
    names = list(kinds) if flags.name is None else [flags.name]
    found = [describe.method(kinds[name]) for name in names]
    result.write(found, strategy_rows.setting_rows(found))
    if not result.alone:
        terminal_tables.console().print(*(terminal_tables.method_table(about) for about in found))
    return 0


def _space(flags: argparse.Namespace, result: ResultOutput) -> int:
    found = space_listing.facts(*space_listing.space_settings(flags))
    result.write(found, strategy_rows.gene_rows(found))
    if not result.alone:
        terminal_tables.console().print(terminal_tables.pairs(space_listing.space_lines(found)))
    return 0


def _validate(flags: argparse.Namespace, result: ResultOutput) -> int:
    found = list[dict[str, Any]]()
    for name in flags.files:
        try:
            strategy = load(name)
            check_provenance(strategy, name)
        except StrategyError as error:
            found.append({"file": name, "ok": False, "error": str(error)})
            line = str(error)
        else:
            found.append({"file": name, "ok": True, "digest": strategy.digest})
            line = f"{name}: ok, {strategy.solver_text}, {terminal_tables.schedule(strategy)}"
        if not result.alone:
            say(line)
    result.write(found, found)
    return 0 if all(row["ok"] for row in found) else 1


def _resample(flags: argparse.Namespace, _: ResultOutput) -> int:
    if flags.calls is None and flags.steps is None and flags.scheduler is None:
        raise StrategyError("say what to resample to: --calls, --steps or --scheduler")
    for flag in ("calls", "steps"):
        value = getattr(flags, flag)
        if value is not None and value < 1:
            raise StrategyError(f"--{flag} is {value}; give at least 1")
    before = load(flags.source)
    after = before.resample(flags.calls, flags.steps, flags.scheduler)
    source = {
        "digest": before.digest,
        "scheduler": before.scheduler,
        "steps": before.steps,
        "calls": before.calls,
    }
    provenance = dict(before.provenance) | {"resampled_from": source}
    return _written(after.model_copy(update={"provenance": provenance}), flags.out)


def _export(flags: argparse.Namespace, _: ResultOutput) -> int:
    strategy = load(flags.source)
    target = TARGETS[flags.to]
    text = target.write(strategy)
    if target.note:
        print(f"note: {target.note}", file=sys.stderr)
    if flags.out is None:
        print(text, end="")
        return 0
    make_folder(flags.out.parent)
    write(text, flags.out)
    say(f"{flags.out}: {flags.to} {target.version}, {terminal_tables.schedule(strategy)}")
    return 0


def _import(flags: argparse.Namespace, _: ResultOutput) -> int:
    if flags.steps is not None and flags.steps < 1:
        raise StrategyError(f"--steps is {flags.steps}; give at least 1")
    given = cache_dit_import.Given(flags.family, flags.scheduler, flags.steps)
    return _written(cache_dit_import.imported(flags.source, given), flags.out)


def _written(strategy: Strategy, path: Path | None) -> int:
    """Write a strategy to a file, or to the terminal."""
    if path is None:
        print(dump(strategy), end="")
        return 0
    make_folder(path.parent)
    save(strategy, path)
    say(f"{path}: {strategy.solver_text}, {terminal_tables.schedule(strategy)}")
    return 0


def _push(flags: argparse.Namespace, result: ResultOutput) -> int:
    commit = hub.push(flags.files, flags.repo, flags.private, flags.message, say)
    rows = [{"file": str(one), "missing": missing_parts(load(one))} for one in flags.files]
    result.write({"commit": commit, "files": rows}, rows)
    say(commit)
    for row in rows:
        if row["missing"]:
            say(f"{row['file']}: says nothing of {', '.join(row['missing'])}")
    return 0


def _pull(flags: argparse.Namespace, result: ResultOutput) -> int:
    out = flags.out or Path(flags.repo.rsplit("/", 1)[-1])
    rows = [(str(path), load(path)) for path in hub.pull(flags.repo, out, flags.revision)]
    found = [strategy_rows.strategy_row(path, one) for path, one in rows]
    result.write(found, found)
    for path, one in rows:
        say(f"{path}: {one.solver_text}, {terminal_tables.schedule(one)}")
    return 0


def _diff(flags: argparse.Namespace, result: ResultOutput) -> int:
    one, other = load(flags.one), load(flags.other)
    rows = describe.differences(one, other)
    same = one.digest == other.digest
    found = strategy_rows.difference_rows(rows)
    result.write({"same": same, "differences": found}, found)
    if not result.alone:
        _print_differences(rows, (flags.one, flags.other), (one, other))
    return 0 if same else 1


def _print_differences(
    rows: Sequence[tuple[str, str, str]], names: tuple[str, str], pair: tuple[Strategy, Strategy]
) -> None:
    console, (one, other) = terminal_tables.console(), pair
    if rows:
        console.print(terminal_tables.difference_table(rows, names))
    if one.digest == other.digest:
        beside = "; only what is listed above differs" if rows else ""
        console.print(f"They mean the same (digest {one.digest[:12]}){beside}.")
    elif one.calls != other.calls:
        console.print(
            f"Calls are compared between strategies of equally many only: resample one, such as "
            f"by --calls {one.calls} --steps {one.steps}.",
        )
