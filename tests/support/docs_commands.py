"""Commands and snippets of the README and the docs, for the tests that run them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from tests.support.paths import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind it, and its text."""

    page: str
    language: str
    note: str
    text: str


@dataclass(frozen=True)
class Command:
    """One `python -m ...` of a page, as a list of words."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words[2:])}"


def blocks() -> list[Block]:
    """Of all pages, in order."""
    return [
        Block(path.relative_to(ROOT).as_posix(), *found)
        for path in PAGES
        for found in BLOCK.findall(path.read_text("utf-8"))
    ]


def commands() -> list[Command]:
    """Every `python -m` in a block without a language or of `sh`, and in `code` of the text."""
    found = []
    for path in PAGES:
        text, page = path.read_text("utf-8"), path.relative_to(ROOT).as_posix()
        lines = [
            line
            for language, _, body in BLOCK.findall(text)
            if language in ("", "sh")
            for line in body.replace("\\\n", " ").splitlines()
        ]
        prose = BLOCK.sub("", text)
        lines += re.findall(r"`(python -m [^`]+)`", prose.replace("\n", " "))
        for line in lines:
            words = shlex.split(line, comments=True)
            is_synopsis = any(word.startswith("[") for word in words)
            if words[:2] == ["python", "-m"] and not is_synopsis:
                found.append(Command(page, tuple(words)))
    return list(dict.fromkeys(found))


def sentences(text: str) -> list[str]:
    """Sentences of a page: without code blocks, tables, headings and pictures.

    An item of a list ends a sentence. Code between backticks is one word.
    """
    prose = BLOCK.sub("\n\n", text)
    prose = re.sub(r"^(?:#|\||!\[|<).*$", "", prose, flags=re.MULTILINE)
    prose = re.sub(r"^[ \t]*(?:[-*]|\d+\.) ", "\n\n", prose, flags=re.MULTILINE)
    prose = re.sub(r"`[^`]*`", "Code", prose)
    prose = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", prose).replace("*", "")
    found = []
    for part in re.split(r"\n[ \t]*\n", prose):
        found += re.split(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z])", " ".join(part.split()))
    return [one for one in found if words(one)]


def headings(text: str) -> list[str]:
    """Headings of a page, without their marks."""
    return re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)


def words(sentence: str) -> int:
    """Number of words of a sentence."""
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())
