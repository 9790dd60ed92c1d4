"""Texts of files reach the terminal escaped and cut."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from strategies import StrategyError
from strategies.text import plain
from tests.support.heavy_files import BASE
from tests.support.strategy_texts import TERMINAL, refused, run


def test_no_text_of_a_file_reaches_the_terminal_raw(tmp_path: Path) -> None:
    signs = "".join(TERMINAL) + "\n"
    good, other, bad = (tmp_path / name for name in ("good.json", "other.json", "bad.json"))
    blocks = {"blockcache": {"refresh": {f"a{signs}": [0]}}}
    fields = BASE | {"name": signs, "methods": blocks}
    free = {"a" + signs: signs, "b": {signs: [signs]}}
    good.write_text(json.dumps(fields | {"provenance": free, "scores": free}))
    other.write_text(json.dumps(fields | {"name": "x" + signs, "scores": {signs: 1}}))
    bad.write_text(json.dumps(BASE | {"methods": {signs: {}}}))
    commands = [
        *[(name, path) for name in ("validate", "show", "list") for path in (good, bad)],
        ("diff", good, other),
        ("show", good, "--json"),
        ("resample", good, "--calls", 3),
        ("resample", good, "--calls", 3, "--out", tmp_path / "new.json"),
        ("resample", good, "--steps", 3),
        ("export", good, "--to", "cache-dit"),
    ]
    for command in commands:
        said = run(*command)[1]
        assert said
        assert not set(TERMINAL) & set(said), command


def test_a_terminal_without_the_characters_gets_escapes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(BASE | {"name": "gr\u00fcn \u7dd1", "scheduler": "\u7dd1"}))
    for command in ("show", "validate", "list"):
        done = subprocess.run(
            [sys.executable, "-m", "strategies", command, str(path)],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\\u7dd1" in done.stdout


@given(st.text())
def test_escaped_text_prints_and_stays(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)
    error = StrategyError(text)
    assert str(error).isprintable()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_error_messages_are_cut() -> None:
    assert len(str(StrategyError("x" * 10**6))) == 4_000
    assert len(refused(json.dumps(BASE | {"methods": {"tome": {"ratio": "y" * 19_000}}}))) < 300
    deep = json.dumps(BASE | {"methods": {"tome": {"ratio": [["z"] * 9_000] * 4}}})
    assert len(refused(deep)) < 300
