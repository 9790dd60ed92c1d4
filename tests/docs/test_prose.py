"""Docstrings begin with a noun or an imperative, and public names stand in one module each.

The numbers are those of today; a change may only lower them, and then lowers them here. Pages have
short sentences, subject first, in the words of the glossary.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.docs_commands import PAGES, headings, sentences, words
from tests.support.paths import ROOT

VAGUE = {"What", "Which", "Where", "Who", "Whose", "How", "Of", "As", "For", "By", "In", "At"}
ENTRY = re.compile(r"^ {4}[\w, ]+: (of|by|for|where|in|on|from|to|as|with|at|such)\b", re.MULTILINE)
LEFT = {"accel": 0, "benchmarks": 0, "evaluate": 0, "search": 0, "strategies": 0, "zoo": 0}
# Names that mean the same wherever they stand.
FIXED = {"main", "parser", "attach", "sites", "prepare", "make", "write", "add"}
SEVERAL = 12
# Mean number of words in a sentence of a page, at most.
WORDS = 18
# Beginnings that ask instead of naming, or put the subject last; a question may stand as one.
RIDDLE = re.compile(
    r"(?:What|Which|Whose|Whom?|Whoever|Whatever|How|Of) (?!.*\?\W*$)|[A-Z]\w+ed (?:is|are) "
)
# Words for which the glossary has another one: compared with, again, continue, baseline, metric,
# generate, value without effect.
OTHER = re.compile(
    r"\b(?:beside|held against|anew|goes on|go on|went on|rivals?|figures?|draws?|drew|drawn"
    r"|nobody|whoever)\b",
    re.IGNORECASE,
)
# Pages that are not there yet; this list may only shrink.
UNREADABLE: set[str] = set()


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", LEFT)
def test_docstrings_begin_with_a_noun(package: str) -> None:
    vague = 0
    for path in files(package):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                text = ast.get_docstring(node) or "-"
                vague += text.split()[0] in VAGUE
                vague += len(ENTRY.findall(text))
    assert vague <= LEFT[package], f"{vague} lines of docstrings do not begin with a noun"


def test_public_names_stand_once() -> None:
    homes = defaultdict(set)
    for package in LEFT.keys() - {"benchmarks"}:
        for path in files(package):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                    homes[node.name].add(path)
    several = {name for name, paths in homes.items() if len(paths) > 1} - FIXED
    assert len(several) <= SEVERAL, sorted(several)


def page(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


CARDS = sorted(ROOT.glob("zoo/models/*/README.md"))


@pytest.mark.parametrize("path", [*PAGES, *CARDS, ROOT / "SECURITY.md"], ids=page)
def test_pages_are_in_plain_english(path: Path) -> None:
    text = path.read_text("utf-8")
    said = sentences(text)
    titles = headings(text)
    mean = sum(map(words, said)) / max(1, len(said))
    quoted = [re.sub(r"\"[^\"]*\"|\*[^*]*\*", "", one) for one in said]
    found = {
        "riddles": [one for one in said + titles if RIDDLE.match(one)],
        "words that the glossary has another one for": [one for one in quoted if OTHER.search(one)],
        "long sentences": [f"{mean:.1f} words on average"] if mean > WORDS else [],
    }
    found = {kind: those for kind, those in found.items() if those}
    assert bool(found) == (page(path) in UNREADABLE), found


def test_the_measure_of_prose_finds_what_it_is_for() -> None:
    text = """# What is left

A first sentence has `a long command` of code. Of others little is left, e.g. 0.5 s.

- Measured are three things
- Is it fast? How fast is it?

| a table | does not count |
```
nor does code
```
"""
    assert [words(one) for one in sentences(text)] == [7, 8, 4, 3, 4]
    riddles = [one for one in sentences(text) + headings(text) if RIDDLE.match(one)]
    assert [one.split()[0] for one in riddles] == ["Of", "Measured", "What"]
    assert OTHER.search("The figures of rivals are drawn anew.")
