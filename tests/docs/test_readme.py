"""The files and flags that the README and docs/commands.md name are there.

`test_docs.py` runs their commands.
"""

from __future__ import annotations

import re

import pytest

import strategies
from search import cli
from search.commands import COMMANDS
from search.commands.options import parser
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text()


def test_links_and_commands_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for script in ("run.sh", "test.sh"):
        assert f"./{script}" in README
        assert (ROOT / script).stat().st_mode & 0o111
    flags = parser().format_help()
    named = re.findall(r"python -m search (?:-[^`\n]*?)?(--[a-z-]+)", README + COMMANDS_PAGE)
    assert named
    for flag in named:
        assert flag in flags


def test_a_stranger_reads_it_in_two_minutes() -> None:
    """What, for whom, what it gains, how to start: the first screen; the rest is in docs/."""
    lines = README.splitlines()
    assert len(lines) <= 120
    first = "\n".join(lines[:60])
    for needed in ("It is for", "| metric |", "![", "./run.sh", "./test.sh", "```python"):
        assert needed in first
    assert all(f"(docs/{one})" in README for one in ("tutorial.md", "index.md", "glossary.md"))


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_on_runs_are_as_they_say(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(rf"python -m search {command} RUN([^#`\n]*)", COMMANDS_PAGE)
    assert lines
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    flags = capsys.readouterr().out
    for flag in re.findall(r"--[a-z-]+", " ".join(lines)):
        assert flag in flags


def test_the_examples_are_valid() -> None:
    files = list((ROOT / "examples").glob("*.json"))
    assert files
    for path in files:
        one = strategies.load(path)
        assert path.name.startswith(one.provenance["model"])
        assert one.scores["speedup"] > 1
