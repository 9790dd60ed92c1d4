"""`--json` and `--csv` mean the same in every command, and standard output then parses."""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from search.commands import COMMANDS
from strategies.commands.result_output import CommandParser
from tests.support.paths import ROOT

FORMER = ROOT / "tests/search/run_folder/former_runs/tiny-sd"
EXAMPLE = str(ROOT / "examples/tiny-sd-no-loss.json")
# Commands whose output is a file's content, which `--out` puts in a file, and one that is a page.
CONVERT = {"strategies resample", "strategies export", "strategies import", "search view"}
# Commands that run a model or ask the hub; the tests of each look at its result.
ELSEWHERE = {
    "accel generate", "accel calibrate", "evaluate", "evaluate transfer", "search",
    "search ablate", "strategies push", "strategies pull",
}  # fmt: skip
# Commands that only read, with the arguments of one call.
QUICK = {
    "strategies list": [],
    "strategies show": [EXAMPLE],
    "strategies methods": ["dato"],
    "strategies space": ["--methods", "deepcache,tgate"],
    "strategies validate": [EXAMPLE],
    "strategies diff": ["deepcache-n3", "deepcache-n5"],
    "search status": ["{run}"],
    "search front": ["{run}"],
    "search pick": ["{run}", "--knee", "--out", "{out}/knee.json"],
    "search plot": ["{run}", "--only", "pareto", "--out", "{out}"],
    "search export": ["{run}", "--out", "{out}/files-{number}"],
    "search report": ["{run}", "--out", "{out}"],
    "search compare": ["{run}", str(FORMER.with_name("unfinished"))],
}
WITHOUT_TABLE = {"accel generate"}


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(FORMER, tmp_path_factory.mktemp("former") / "run"))


def strict(text: str) -> Any:
    """JSON without NaN, which Python alone reads."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def table(text: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


def alike(text: str) -> str:
    """Text without the number of a call's own folder."""
    return re.sub(r"files-\d", "", text)


@pytest.mark.parametrize("command", QUICK)
def test_the_result_is_alone_on_standard_output_or_in_a_file(
    command: str, former: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, name = command.split()
    main = importlib.import_module(f"{package}.cli").main
    count = 0

    def run(*flags: str) -> str:
        nonlocal count
        count += 1
        words = [w.format(run=former, out=tmp_path, number=count) for w in QUICK[command]]
        assert main([name, *words, *flags]) == (1 if name == "diff" else 0)
        return capsys.readouterr().out

    target, rows = tmp_path / "found.json", tmp_path / "found.csv"
    found = strict(run("--json", f"--csv={rows}"))
    assert found
    printed = run("--csv", f"--json={target}")
    assert strict(alike(target.read_text())) == strict(alike(json.dumps(found)))
    assert alike(rows.read_text()) == alike(printed)
    assert table(printed)


def test_a_file_leaves_the_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main, words = importlib.import_module("strategies.cli").main, ["list", "dato-b1"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert main([*words, f"--json={tmp_path / 'a'}", f"--csv={tmp_path / 'b'}"]) == 0
    assert capsys.readouterr().out == shown


def parsers() -> dict[str, CommandParser]:
    """Parser of every command, by package and name."""
    found: dict[str, CommandParser] = {}
    for package in ("strategies", "accel"):
        whole = importlib.import_module(f"{package}.cli").parser()
        (kinds,) = [one for one in whole._actions if isinstance(one, argparse._SubParsersAction)]
        found |= {f"{package} {name}": one for name, one in kinds.choices.items()}
    made = importlib.import_module("evaluate.commands.parsers")
    found |= {"evaluate": made.score_parser(), "evaluate transfer": made.transfer_parser()}
    return found | {"search": importlib.import_module("search.commands.options").parser()}


def test_every_command_with_a_result_has_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    helped = {name: one.format_help() for name, one in parsers().items()}
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            importlib.import_module("search.cli").main([name, "--help"])
        helped[f"search {name}"] = capsys.readouterr().out
    assert helped.keys() == {*QUICK, *ELSEWHERE, *CONVERT}
    assert {name for name, text in helped.items() if "--json[=FILE]" not in text} == CONVERT
    assert {name for name, text in helped.items() if "--csv[=FILE]" not in text} == {
        *CONVERT, *WITHOUT_TABLE
    }  # fmt: skip


def parsed(*words: str, spaced: bool = False) -> argparse.Namespace:
    made = CommandParser()
    made.add_argument("names", nargs="*")
    made.add_result_flags("all", "rows", spaced=spaced)
    found: argparse.Namespace = made.parse_args(list(words))
    return found


def test_a_file_follows_an_equals_sign(capsys: pytest.CaptureFixture[str]) -> None:
    plain = parsed("--json", "a.json", "--csv=b.csv")
    assert (plain.json, plain.csv, plain.names) == ("-", "b.csv", ["a.json"])
    assert parsed("--", "--json").names == ["--json"]
    assert capsys.readouterr().err == ""
    former = parsed("--json", "a.json", "--csv", spaced=True)
    assert (former.json, former.csv, former.names) == ("a.json", "-", [])
    (line,) = capsys.readouterr().err.splitlines()
    assert "--json FILE is now --json=FILE" in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--json", "--csv"], "--json and --csv have one place"),
        (["--json="], "--json= names no file"),
        (["--csv=/no/such/folder/x.csv"], "cannot be written"),
    ],
)
def test_a_wrong_place_is_one_line(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert importlib.import_module("strategies.cli").main(["list", *flags]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert said in line
