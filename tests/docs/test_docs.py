"""Every command and snippet of the README and the docs, as far as a machine without weights can."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import strategies
import zoo
from accel import families
from benchmarks import __main__ as benchmarks
from evaluate.commands.parsers import score_parser, transfer_parser
from search import spaces
from search.commands import COMMANDS
from search.commands import options as searching
from search.commands.flags.values import limits
from tests.support.docs_commands import PAGES, Block, Command, blocks, commands, headings
from tests.support.paths import ROOT
from tests.support.runs.fake_runs import finished
from tests.support.runs.light import light

__all__ = ["light"]
ALL = commands()
# What stands for something of the reader's own, and what it is here.
PLACES = {
    "RUN": "runs/first",
    "FILE": "examples/tiny-sd-no-loss.json",
    "FOLDER": str(ROOT / "zoo" / "models" / "tiny-sd"),
    "NAME": "tome",
}
# What no machine without weights, data or a cluster can run.
ELSEWHERE = {"sd15", "VAL", "MODEL", "PRESET", "HOST:PORT", "--address", "PartiPrompts.tsv", "sdxl"}
DRAWS = {"ablate", "view"}  # A command on a run that loads its model.
HUB = {"push", "pull"}  # `test_sharing.py` has a hub for them.
SEARCH = ["--budget", "2evals", "--heldout-images", "4", "--export", "1", "--workers", "0"]
SCORE = ["--images", "4", "--repeats", "1"]


def module(command: Command) -> str:
    return command.words[2]


def is_run(command: Command) -> bool:
    """Whether a command of `python -m search` looks at a run."""
    return module(command) == "search" and len(command.words) > 3 and command.words[3] in COMMANDS


def is_quick(command: Command) -> bool:
    if is_run(command):
        return command.words[3] not in DRAWS
    return module(command) == "strategies" and not HUB & set(command.words)


def can_run(command: Command) -> bool:
    words = set(command.words[3:])
    if not words or words & ELSEWHERE or words & {"--help", "--resume"}:
        return False
    # Of a folder the default figure is KID, whose network is not here.
    return module(command) != "search" or "FOLDER" not in words or "psnr" in words


def given(command: Command) -> list[str]:
    """Its arguments, with what is here for what is the reader's, and files for patterns."""
    found: list[str] = []
    for word in command.words[3:]:
        here = PLACES.get(word, word)
        if found[-1:] == ["--log-json"]:
            here = "log.jsonl"
        found += sorted(map(str, Path().glob(here))) if "*" in here else [here]
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples and a finished run."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "runs").mkdir()
    (folder / "benchmarks" / "results").mkdir(parents=True)
    finished(folder / "runs" / "first")
    shutil.copytree(folder / "runs" / "first", folder / "runs" / "earlier")
    return folder


@pytest.mark.parametrize("command", [c for c in ALL if is_quick(c) and c.words[3:]], ids=str)
def test_commands_that_only_look_work(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(place)
    main: Callable[[list[str]], int] = importlib.import_module(f"{module(command)}.cli").main
    # Strategies that differ are an answer, and so is that no strategy has no loss.
    code, shown = main(given(command)), capsys.readouterr()
    if "--no-loss" in command.words and code == 2:
        assert "a loss is ruled out" in shown.err
        return
    assert code in ((0, 1) if command.words[3] == "diff" else (0,))
    assert shown.out


@pytest.mark.parametrize("command", [c for c in ALL if not is_quick(c)], ids=str)
def test_the_flags_of_all_others_are_there(command: Command) -> None:
    words, name = list(command.words[3:]), module(command)
    if not words or "--help" in words:
        assert importlib.util.find_spec(name if "." in name else f"{name}.__main__")
    elif is_run(command):
        with pytest.raises(SystemExit, match="0"):
            importlib.import_module("search.cli").main([words[0], "--help"])
    elif name == "search":
        _, rest = limits(words)
        searching.parser().parse_args(rest)
    elif name == "benchmarks":
        known = [w if w != "NAME" else "macs" for w in words]
        benchmarks.parser().parse_known_args(known)
    elif name.startswith("zoo."):
        known = ["tiny-sd" if word == "MODEL" else word for word in words]
        importlib.import_module(name).parser().parse_args(known)
    elif words == ["transfer"]:
        return
    elif words[:1] == ["transfer"]:
        transfer_parser().parse_args(words[1:])
    elif name == "evaluate":
        score_parser().parse_args(words)
    elif words == ["calibrate"]:
        return
    else:
        importlib.import_module(f"{name}.cli").parser().parse_args(words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        c
        for c in ALL
        if can_run(c) and module(c) in ("search", "accel", "evaluate") and not is_run(c)
    ],
    ids=str,
)
def test_commands_that_draw_work(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer images and a smaller budget than they name."""
    monkeypatch.chdir(place)
    name, words = module(command), given(command)
    if words in (["calibrate"], ["transfer"]) or {"image-reward", "fid"} & set(words):
        return
    if name == "search":
        words += [*SEARCH, "--out", str(place / f"runs/{abs(hash(command))}")]
        words += [] if "--rungs" in words else ["--images", "4"]
    if name == "evaluate" and words[:1] != ["transfer"]:
        words += SCORE
    shutil.copy(place / "examples/tiny-sd-no-loss.json", place / "best.json")
    shutil.copytree(place / "runs/first", place / "runs/earlier", dirs_exist_ok=True)
    assert importlib.import_module(f"{name}.cli").main(words) == 0


@pytest.mark.parametrize(
    "page", sorted({b.page for b in blocks() if b.language == "python" and not b.note})
)
def test_snippets_run(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    names: dict[str, Any] = {}
    for block in blocks():
        if block.page == page and block.language == "python" and not block.note:
            exec(block.text, names)


@pytest.mark.parametrize("block", [b for b in blocks() if b.note == "no-weights"], ids=str)
def test_snippets_that_need_weights_compile(block: Block) -> None:
    compile(block.text, block.page, "exec")


def test_data_in_the_docs_is_read() -> None:
    (space,) = [b for b in blocks() if b.note == "space"]
    pipe = zoo.load("tiny-sd")
    made = spaces.make_space(
        yaml.safe_load(space.text), families.find_sites(pipe)[0], pipe.scheduler
    )
    assert list(made.steps) == [8, 10, 12, 16, 20]
    for block in blocks():
        if block.language == "json":
            assert strategies.parse(block.text).calls == json.loads(block.text)["calls"]


def anchors(path: Path) -> set[str]:
    """Places of a page that a link may name, as GitHub makes them of headings."""
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in headings(path.read_text("utf-8")))
    return {title.replace(" ", "-") for title in kept}


def test_links_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\((?!http)([^)]+)\)", path.read_text("utf-8")):
            name, _, place = target.partition("#")
            page = path.parent / name if name else path
            assert page.exists(), f"{path.name}: {target}"
            assert not place or place in anchors(page), f"{path.name}: {target}"


def test_the_manifests_are_well_formed() -> None:
    job = yaml.safe_load((ROOT / "examples/kuberay.yaml").read_text("utf-8"))
    words = job["spec"]["entrypoint"].split()[3:]
    searching.parser().parse_args(words)
    text = (ROOT / "examples/slurm.sh").read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash")
    assert "#SBATCH" in text
