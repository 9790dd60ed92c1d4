"""Additions take as many files as docs/extending.md says: each is made in a copy, and used."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
import traceback
from pathlib import Path

import pytest

from tests.support.additions import ADDED
from tests.support.paths import ROOT
from tests.support.runs.write_faults import in_a_child

COPIED = ("accel", "configs", "docs", "evaluate", "search", "strategies", "tests", "zoo")


def table() -> dict[str, tuple[int, list[str]]]:
    """By what is added how many files the page says that takes, and which."""
    text = (ROOT / "docs" / "extending.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| (\d+) \| ([^|]+) \|$", text, re.MULTILINE)
    return {name: (int(count), re.findall(r"`([\w/.-]+)`", where)) for name, count, where in rows}


def test_the_page_names_the_files_that_are_changed() -> None:
    said = table()
    for name, (changes, _) in ADDED.items():
        assert said[name] == (len(changes), list(changes)), name


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All additions made in one copy and used in one process; what went wrong, by addition."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "former_runs", "upstream")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for changes, _ in ADDED.values():
        for file, edits in changes.items():
            make(copy / file, edits)
    (copy / "run").mkdir()
    shown = copy / "shown"
    assert in_a_child(lambda: use_all(copy), shown) == 0, shown.read_text("utf-8")
    found: dict[str, str] = json.loads((copy / "failed.json").read_text("utf-8"))
    return found


def use_all(copy: Path) -> int:
    """Use all additions in this process, which keeps the libraries and imports ours afresh."""
    for name in [name for name in sys.modules if name.partition(".")[0] in COPIED]:
        del sys.modules[name]
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    importlib.invalidate_caches()
    failed = {}
    for name, (_, used) in ADDED.items():
        try:
            exec(used, {"FOLDER": copy / "run"})
            import accel

            assert accel.__file__ == str(copy / "accel" / "__init__.py")
        except BaseException:
            failed[name] = traceback.format_exc()
    (copy / "failed.json").write_text(json.dumps(failed))
    return 0


def make(path: Path, edits: list[tuple[str, str]]) -> None:
    """Change a file, or write a new one."""
    assert path.exists() == bool(edits[0][0])
    text = path.read_text("utf-8") if path.exists() else ""
    for former, now in edits:
        assert not former or text.count(former) == 1, f"{path} no longer has {former!r}"
        text = text.replace(former, now, 1) if former else now
    path.write_text(text, "utf-8")


def test_additions_touch_files_of_their_own() -> None:
    """So that one copy can have all of them."""
    files = [file for changes, _ in ADDED.values() for file in changes]
    assert len(files) == len(set(files))


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_works(name: str, failed: dict[str, str]) -> None:
    assert failed.get(name, "") == ""
