"""The command line: `python -m strategies`."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strategies import StrategyError, describe, dump, known, load, presets, save
from strategies.commands import space_listing, terminal_tables
from strategies.commands.interrupts import stopped
from strategies.data_files.whole import make_folder, write
from strategies.exchange import cache_dit_import
from strategies.exchange.targets import TARGETS
from strategies.sharing import hub, provenance
from strategies.strategy import Strategy
from strategies.text import say
from strategies.words import did_you_mean

EXAMPLES = """examples:
  python -m strategies list                             the published presets
  python -m strategies show dato-b1                     what it does at every call
  python -m strategies methods tome                     the knobs of a method
  python -m strategies space --methods deepcache,catome,tgate   what a search of them turns
  python -m strategies validate runs/*/strategies/*.json
  python -m strategies resample dato-b1 --steps 25 --out dato-25.json
  python -m strategies diff deepcache-n3 deepcache-n5
  python -m strategies export fora-n3 --to cache-dit --out mask.json
  python -m strategies import mask.json --out back.json
  python -m strategies push runs/mine/strategies/*.json --repo me/sd15-strategies
  python -m strategies pull me/sd15-strategies --out found
"""


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    made = argparse.ArgumentParser(
        prog="python -m strategies",
        description="Show, check and convert strategy files and the published presets.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> Any:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    one = command("list", _list, "list presets and given files")
    one.add_argument("sources", nargs="*", metavar="NAME|FILE", help="list only these")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = command("show", _show, "show one strategy, call by call")
    one.add_argument("source", metavar="NAME|FILE")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = command("methods", _methods, "show the methods and their knobs")
    one.add_argument("name", nargs="?", metavar="NAME", help="show only this method")
    one.add_argument("--json", action="store_true", help="as JSON")
    one = command("space", _space, "show the genes of a search space, their choices and its size")
    space_listing.add(one)
    one = command("validate", _validate, "check files; exit code 1 if any is bad")
    one.add_argument("files", nargs="+", metavar="FILE")
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
    one.add_argument("--family", metavar="F", help="family, where the file does not say it")
    one.add_argument("--scheduler", metavar="S", help="solver, by diffusers' class name")
    one.add_argument("--steps", type=int, metavar="N", help="number of steps")
    one.add_argument("--out", type=Path, metavar="FILE", help="write here, not to the terminal")
    one = command("push", _push, "upload files to a repository of the Hugging Face Hub")
    one.add_argument("files", nargs="+", type=Path, metavar="FILE")
    one.add_argument("--repo", required=True, metavar="NAME", help="owner/name; made if missing")
    one.add_argument("--private", action="store_true", help="make a new repository private")
    one.add_argument("--message", default="", help="message of the commit")
    one = command("pull", _pull, "download and check a repository's strategies")
    one.add_argument("repo", metavar="NAME", help="owner/name")
    one.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder to write to (default: the repository's name)",
    )
    one.add_argument("--revision", help="branch, tag or commit (default: the newest)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal may lack some of the characters.
            stream.reconfigure(errors="backslashreplace")
    flags = parser().parse_args(arguments)
    try:
        return int(flags.run(flags))
    except StrategyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return stopped()
    except BrokenPipeError:  # The reader of our lines, such as head, has closed.
        sys.stderr.close()
        return 0


def _list(flags: argparse.Namespace) -> int:
    rows = [(source, load(source)) for source in flags.sources or presets()]
    if flags.json:
        _print_json([_facts(strategy) | {"source": source} for source, strategy in rows])
    else:
        terminal_tables.console().print(terminal_tables.listing(rows))
    return 0


def _facts(strategy: Strategy) -> dict[str, Any]:
    return {
        "name": strategy.name,
        "family": strategy.family,
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
        "calls": strategy.calls,
        "methods": sorted(strategy.methods),
        "summary": describe.summary(strategy),
        "digest": strategy.digest,
    }


def _show(flags: argparse.Namespace) -> int:
    strategy = load(flags.source)
    if flags.json:
        spans = [{"first": s.first, "last": s.last, **s.acts} for s in describe.spans(strategy)]
        _print_json(strategy.to_json() | {"digest": strategy.digest, "spans": spans})
    else:
        terminal_tables.console().print(terminal_tables.details(strategy))
    return 0


def _methods(flags: argparse.Namespace) -> int:
    kinds = known()
    if flags.name is not None and flags.name not in kinds:
        hint = did_you_mean(flags.name, kinds)
        raise StrategyError(f"method {flags.name!r} is unknown; there are {', '.join(kinds)}{hint}")
    names = list(kinds) if flags.name is None else [flags.name]
    found = [describe.method(kinds[name]) for name in names]
    if flags.json:
        _print_json(found)
    else:
        terminal_tables.console().print(*(terminal_tables.method(about) for about in found))
    return 0


def _space(flags: argparse.Namespace) -> int:
    found = space_listing.facts(*space_listing.asked(flags))
    if flags.json:
        _print_json(found)
    else:
        terminal_tables.console().print(terminal_tables.pairs(space_listing.lines(found)))
    return 0


def _validate(flags: argparse.Namespace) -> int:
    bad = 0
    for name in flags.files:
        try:
            strategy = load(name)
            provenance.check(strategy, name)
        except StrategyError as error:
            bad += 1
            say(str(error))
        else:
            say(f"{name}: ok, {strategy.solver_text}, {terminal_tables.schedule(strategy)}")
    return 1 if bad else 0


def _resample(flags: argparse.Namespace) -> int:
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


def _export(flags: argparse.Namespace) -> int:
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


def _import(flags: argparse.Namespace) -> int:
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


def _push(flags: argparse.Namespace) -> int:
    say(hub.push(flags.files, flags.repo, flags.private, flags.message, say))
    for path in flags.files:
        lacks = provenance.missing(load(path))
        if lacks:
            say(f"{path}: says nothing of {', '.join(lacks)}")
    return 0


def _pull(flags: argparse.Namespace) -> int:
    out = flags.out or Path(flags.repo.rsplit("/", 1)[-1])
    for path in hub.pull(flags.repo, out, flags.revision):
        one = load(path)
        say(f"{path}: {one.solver_text}, {terminal_tables.schedule(one)}")
    return 0


def _diff(flags: argparse.Namespace) -> int:
    one, other = load(flags.one), load(flags.other)
    rows = describe.differences(one, other)
    same = one.digest == other.digest
    console = terminal_tables.console()
    if rows:
        console.print(terminal_tables.difference(rows, (flags.one, flags.other)))
    if same:
        beside = "; only what is listed above differs" if rows else ""
        console.print(f"They mean the same (digest {one.digest[:12]}){beside}.")
    elif one.calls != other.calls:
        console.print(
            f"Calls are compared between strategies of equally many only: resample one, such as "
            f"by --calls {one.calls} --steps {one.steps}.",
        )
    return 0 if same else 1


def _print_json(data: Any) -> None:
    # Written part by part: as one text it takes many times the memory of the data.
    json.dump(data, sys.stdout, indent=2)
    print()
